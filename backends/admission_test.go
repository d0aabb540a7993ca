package backends_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/pipenet"
)

// resident is a cloud in this host.
type resident struct{ *cloud }

func (resident) Resident() bool { return true }

func (r resident) List(context.Context, string) (l []backends.Listed, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.placed {
		l = append(l, backends.Listed{ID: id})
	}
	return l, nil
}

const gib = 1 << 30

func host() (backends.Host, error) {
	return backends.Host{
		Memory: 16 * gib, FreeMemory: 12 * gib, Disk: 100 * gib, FreeDisk: 50 * gib,
		Processes: 32768, FreeProcesses: 30000, Descriptors: 4096, FreeDescriptors: 4000,
	}, nil
}

func open(t *testing.T, c *cloud, a backends.AdmissionConfig) *backends.Backend {
	t.Helper()
	admission, err := backends.OpenAdmission(a)
	if err != nil {
		t.Fatal(err)
	}
	return backends.Open("cloud", resident{c}, backends.Config{Admission: admission})
}

func start(t *testing.T, b *backends.Backend, id string, l sandbox.Limits) error {
	t.Helper()
	s, err := b.Start(t.Context(), sandbox.Spec{ID: sandbox.ID(id), Limits: l})
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return err
}

func everything(c *cloud) { c.enforces = backends.LimitNames }

func TestAdmission(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "admission")
		c := newCloud(t)
		everything(c)
		b := open(t, c, backends.AdmissionConfig{Dir: dir, Host: host})
		for _, id := range []string{"a", "b"} {
			if err := start(t, b, id, sandbox.Limits{Memory: 6 * gib}); err != nil {
				t.Fatal(err)
			}
		}
		calls := len(c.calls)
		err := start(t, b, "c", sandbox.Limits{Memory: 6 * gib})
		if sandbox.CodeOf(err) != sandbox.Exhausted {
			t.Fatalf("one too many: %v", err)
		}
		for _, want := range []string{"memory", "2 sandboxes", "13 GB", "6.4 GB", "17 GB", "admission.overcommit"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("want %q in: %v", want, err)
			}
		}
		if len(c.calls) != calls {
			t.Errorf("the driver was asked for %v", c.calls[calls:])
		}
		// Another process with the same directory counts the same.
		other := open(t, c, backends.AdmissionConfig{Dir: dir, Host: host})
		if err := start(t, other, "d", sandbox.Limits{Memory: 6 * gib}); sandbox.CodeOf(err) != sandbox.Exhausted {
			t.Errorf("in another process: %v", err)
		}
		twice := open(t, c, backends.AdmissionConfig{Dir: dir, Host: host, Overcommit: 2})
		if err := start(t, twice, "d", sandbox.Limits{Memory: 6 * gib}); err != nil {
			t.Errorf("overcommitted: %v", err)
		}
		// What is there already does not count twice, and may ask for other limits.
		if err := start(t, other, "a", sandbox.Limits{Memory: 4 * gib}); err != nil {
			t.Errorf("again: %v", err)
		}
		if err := b.Remove(t.Context(), "b", backends.AnyEpoch, 0); err != nil {
			t.Error(err)
		}
		if err := start(t, b, "c", sandbox.Limits{Memory: 6 * gib}); err != nil {
			t.Errorf("in place of another: %v", err)
		}
	})
}

// What is left to the defaults counts little: a host holds many idle sandboxes.
func TestDefaultsAreNoPromise(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := newCloud(t)
		b := open(t, c, backends.AdmissionConfig{Dir: dir, Host: func() (backends.Host, error) {
			h, err := host()
			h.Descriptors = 1 << 20
			return h, err
		}})
		for i := range 500 {
			if err := start(t, b, fmt.Sprintf("s%d", i), sandbox.Limits{}); err != nil {
				t.Fatalf("%d: %v", i, err)
			}
		}
	})
}

// Whoever may have connections may have their descriptors, where they go through this process.
func TestConnectionsAreDescriptors(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		for _, x := range []struct {
			enforces    []string
			connections int
			fit         int // in 4096 descriptors
		}{
			{nil, 0, 256},
			{backends.LimitNames, 0, 18},
			{backends.LimitNames, 8, 128},
			{backends.LimitNames, 2040, 1},
			{backends.LimitNames, 2041, 0},
			{backends.LimitNames, -1, 0},
		} {
			c := newCloud(t)
			c.enforces = x.enforces
			b := open(t, c, backends.AdmissionConfig{Dir: t.TempDir(), Host: host})
			var err error
			n := 0
			for ; err == nil && n < 300; n++ {
				err = start(t, b, fmt.Sprint("s", n), sandbox.Limits{Connections: x.connections})
			}
			if sandbox.CodeOf(err) != sandbox.Exhausted || !strings.Contains(err.Error(), "descriptors") || n-1 != x.fit {
				t.Errorf("of %d connections %d fit, want %d: %v", x.connections, n-1, x.fit, err)
			}
		}
	})
}

func TestEachResource(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		c := newCloud(t)
		everything(c)
		for name, change := range map[string]func(*backends.Host, *sandbox.Limits){
			"memory: a sandbox needs":      func(h *backends.Host, _ *sandbox.Limits) { h.FreeMemory = 10 << 20 },
			"disk: a sandbox needs":        func(h *backends.Host, _ *sandbox.Limits) { h.FreeDisk = 10 << 20 },
			"processes: a sandbox needs":   func(h *backends.Host, _ *sandbox.Limits) { h.FreeProcesses = 10 },
			"descriptors: a sandbox needs": func(h *backends.Host, _ *sandbox.Limits) { h.FreeDescriptors = 10 },
			"disk: 0 sandboxes":            func(_ *backends.Host, l *sandbox.Limits) { l.Disk = 101 * gib },
			"processes: 0 sandboxes":       func(_ *backends.Host, l *sandbox.Limits) { l.Processes = 40000 },
			"no host":                      nil,
		} {
			h, _ := host()
			var l sandbox.Limits
			want := sandbox.Exhausted
			b := open(t, c, backends.AdmissionConfig{Dir: t.TempDir(), Host: func() (backends.Host, error) {
				if change == nil {
					return h, errors.New("no host")
				}
				change(&h, &l)
				return h, nil
			}})
			if change != nil {
				change(&h, &l)
			} else {
				want = sandbox.Unavailable
			}
			if err := start(t, b, "x", l); sandbox.CodeOf(err) != want || !strings.Contains(err.Error(), name) {
				t.Errorf("want %q: %v", name, err)
			}
		}
		b := open(t, c, backends.AdmissionConfig{Dir: t.TempDir(), Host: host, Overcommit: -1})
		if err := start(t, b, "y", sandbox.Limits{Memory: 1000 * gib}); err != nil {
			t.Errorf("any number of times: %v", err)
		}
	})
}

// What failed to start, and what nobody has any more, holds nothing.
func TestNothingIsHeldForNothing(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := newCloud(t)
		c.fail = []error{failure(sandbox.Denied)}
		everything(c)
		b := open(t, c, backends.AdmissionConfig{Dir: dir, Host: host})
		all := sandbox.Limits{Memory: 16 * gib}
		if err := start(t, b, "fails", all); sandbox.CodeOf(err) != sandbox.Denied {
			t.Fatal(err)
		}
		if err := start(t, b, "a", all); err != nil {
			t.Fatalf("after one that failed: %v", err)
		}
		c.mu.Lock()
		delete(c.placed, "a") // somebody else ended it
		c.mu.Unlock()
		if err := start(t, b, "b", all); sandbox.CodeOf(err) != sandbox.Exhausted {
			t.Errorf("it may be starting still: %v", err)
		}
		old := time.Now().Add(-time.Hour)
		for _, name := range list(t, dir) {
			if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
				t.Fatal(err)
			}
		}
		if err := start(t, b, "b", all); err != nil {
			t.Errorf("after one that is no more: %v", err)
		}
		if names := list(t, dir); len(names) != 2 { // with the lock
			t.Errorf("left are %v", names)
		}
	})
}

func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// However many ask at once, no more get in than there is room for.
func TestManyAskAtOnce(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := newCloud(t)
		everything(c)
		var in atomic.Int64
		var wg sync.WaitGroup
		for n := range 4 {
			b := open(t, c, backends.AdmissionConfig{Dir: dir, Host: host})
			for i := range 8 {
				wg.Go(func() {
					s, err := b.Start(t.Context(), sandbox.Spec{ID: sandbox.ID(fmt.Sprintf("s%d.%d", n, i)), Limits: sandbox.Limits{Memory: 2 * gib}})
					if err == nil {
						in.Add(1)
						s.Close()
					} else if sandbox.CodeOf(err) != sandbox.Exhausted {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		if in.Load() != 8 {
			t.Errorf("%d got in, want 8", in.Load())
		}
	})
}

func TestThisHost(t *testing.T) {
	c := newCloud(t)
	everything(c)
	for _, bad := range []backends.AdmissionConfig{{}} {
		if _, err := backends.OpenAdmission(bad); sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	b := open(t, c, backends.AdmissionConfig{Dir: filepath.Join(t.TempDir(), "not", "there")})
	for _, l := range []sandbox.Limits{{Memory: 1 << 60}, {Disk: 1 << 60}} {
		if err := start(t, b, "huge", l); sandbox.CodeOf(err) != sandbox.Exhausted {
			t.Errorf("%+v: %v", l, err)
		}
	}
}
