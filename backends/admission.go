package backends

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/sandtree/sandtree/sandbox"
)

// A Resident is a driver whose sandboxes use up this host; their starts can be refused for want of room.
type Resident interface{ Resident() bool }

// AdmissionConfig says how much of this host sandboxes may be promised. Only Dir is needed.
type AdmissionConfig struct {
	// Dir is where what is promised is written down, made when something is. Processes with the same one count together.
	Dir string
	// Overcommit is how many times over the host may be promised; 0 means 1, negative any number of times.
	Overcommit float64
	// Host tells what the host has; nil asks the system, about the disk that Dir is on.
	Host func() (Host, error)
}

// Host is what a host has and what of it is free. A total of 0 is not known, and not looked at.
type Host struct {
	Memory, FreeMemory           int64 // bytes
	Disk, FreeDisk               int64 // bytes
	Processes, FreeProcesses     int64 // and threads
	Descriptors, FreeDescriptors int64 // of this process, which has some for each sandbox
}

// Admission decides whether there is room for one more sandbox, before anything of it is made. Two things are asked.
//
// Is it there? What a sandbox needs to start must be free now.
//
// Is it promised? A limit that a spec names is a promise, and counts whole, for as long as there is the sandbox, also
// while it is halted. One that it leaves to the default is a bound on what is usually far less, and counts as what an idle
// sandbox uses; else a host of 24 GB would be full with twelve shells.
//
// What is promised stands in Dir, as the names of empty files, so that what a process held that was killed still counts,
// and is found to be over when nobody has such a sandbox any more.
type Admission struct {
	book       *book
	overcommit float64
	host       func() (Host, error)

	mu    sync.Mutex
	lists map[string]func(context.Context) ([]Listed, error) // by the backend's name: who knows what sandboxes there are
}

// OpenAdmission makes an Admission. Code: Invalid.
func OpenAdmission(c AdmissionConfig) (*Admission, error) {
	if c.Dir == "" || math.IsNaN(c.Overcommit) || math.IsInf(c.Overcommit, 0) {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "admission", Err: errors.New("want a directory, and a number to overcommit by")}
	}
	if c.Overcommit == 0 {
		c.Overcommit = 1
	}
	if c.Host == nil {
		c.Host = func() (Host, error) { return thisHost(c.Dir) }
	}
	return &Admission{
		book: &book{dir: c.Dir}, overcommit: c.Overcommit, host: c.Host,
		lists: map[string]func(context.Context) ([]Listed, error){},
	}, nil
}

// know makes list be asked which sandboxes of a backend there are, when what they were promised is in the way.
func (a *Admission) know(backend string, list func(context.Context) ([]Listed, error)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lists[backend] = list
}

// admit promises the sandbox of spec what it asks for, of a backend that enforces these limits, in place of what it was promised
// before; fresh says that this was nothing. Codes: Exhausted, Unavailable, Denied.
func (a *Admission) admit(ctx context.Context, backend string, spec sandbox.Spec, enforced []string) (fresh bool, err error) {
	p := promiseOf(backend, spec, enforced)
	fresh, err = a.try(p)
	if sandbox.CodeOf(err) == sandbox.Exhausted && a.forget(ctx) {
		fresh, err = a.try(p)
	}
	return fresh, err
}

func (a *Admission) try(p promise) (fresh bool, err error) {
	err = a.book.with(func(all map[string]promise) error {
		old, had := all[p.key()]
		host, err := a.host()
		if err != nil {
			return err
		}
		if err := a.room(host, all, p); err != nil {
			return &sandbox.Error{Code: sandbox.Exhausted, Op: "admission", ID: p.id, Err: err}
		}
		if had && old == p {
			return nil
		}
		fresh = !had
		return a.book.put(p)
	})
	return fresh && err == nil, a.failed(err)
}

func (a *Admission) failed(err error) error {
	switch {
	case err == nil || sandbox.CodeOf(err) == sandbox.Exhausted:
		return err
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS):
		return &sandbox.Error{Code: sandbox.Denied, Op: "admission", Err: err}
	}
	return &sandbox.Error{Code: sandbox.Unavailable, Op: "admission", Err: err}
}

// room says what there is not enough of for p, besides all others.
func (a *Admission) room(h Host, all map[string]promise, p promise) error {
	others := len(all)
	if _, had := all[p.key()]; had {
		others--
	}
	for _, r := range resources {
		total, free := r.host(h)
		if total <= 0 {
			continue
		}
		if need := min(r.start, total/8); free < need {
			return fmt.Errorf("%s: a sandbox needs %s to start, and %s of %s are free: end something, or start it on another host",
				r.name, r.show(need), r.show(free), r.show(total))
		}
		if a.overcommit < 0 {
			continue
		}
		var held int64
		for key, o := range all {
			if key != p.key() {
				held = add(held, r.of(o))
			}
		}
		if most, want := int64(a.overcommit*float64(total)), r.of(p); add(held, want) > most {
			return fmt.Errorf("%s: %d sandboxes are promised %s and this one asks for %s, of %s that may be promised (%s that the host has, times %v): "+
				"end some, ask for less, or raise admission.overcommit", r.name, others, r.show(held), r.show(want), r.show(most), r.show(total), a.overcommit)
		}
	}
	return nil
}

func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// resources are what a host runs out of; start is what a sandbox needs of one to start, with a margin for everybody else.
var resources = []struct {
	name  string
	start int64
	of    func(promise) int64
	host  func(Host) (total, free int64)
	show  func(int64) string
}{
	{"memory", 64 << 20, func(p promise) int64 { return p.memory }, func(h Host) (int64, int64) { return h.Memory, h.FreeMemory }, showBytes},
	{"disk", 64 << 20, func(p promise) int64 { return p.disk }, func(h Host) (int64, int64) { return h.Disk, h.FreeDisk }, showBytes},
	{"processes", 64, func(p promise) int64 { return p.processes }, func(h Host) (int64, int64) { return h.Processes, h.FreeProcesses }, humanize.Comma},
	{"descriptors", 32, func(p promise) int64 { return p.descriptors }, func(h Host) (int64, int64) { return h.Descriptors, h.FreeDescriptors }, humanize.Comma},
}

func showBytes(n int64) string { return humanize.Bytes(uint64(max(0, n))) }

// release takes back what a sandbox was promised.
func (a *Admission) release(backend string, id sandbox.ID) error {
	if _, err := os.Stat(a.book.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return a.failed(a.book.with(func(all map[string]promise) error {
		if p, ok := all[promise{backend: backend, id: id}.key()]; ok {
			return a.book.remove(p)
		}
		return nil
	}))
}

// young is how old a promise must be to be taken back because its sandbox is not there: between the promise and the
// sandbox there is its start.
const young = 5 * time.Minute

// forget takes back what was promised to sandboxes that are no more, and says whether there were any.
func (a *Admission) forget(ctx context.Context) bool {
	a.mu.Lock()
	lists := maps.Clone(a.lists)
	a.mu.Unlock()
	there := map[string]bool{}
	for backend, list := range lists {
		l, err := list(ctx)
		if err != nil {
			delete(lists, backend) // then nothing is known of its sandboxes
		}
		for _, s := range l {
			there[promise{backend: backend, id: s.ID}.key()] = true
		}
	}
	forgot := false
	_ = a.book.with(func(all map[string]promise) error {
		for key, p := range maps.Clone(all) {
			info, err := os.Stat(a.book.path(p))
			if err == nil && !there[key] && lists[p.backend] != nil && time.Since(info.ModTime()) >= young {
				forgot = a.book.remove(p) == nil || forgot
			}
		}
		return nil
	})
	return forgot
}
