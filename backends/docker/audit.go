package docker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/audit"
	"github.com/sandtree/sandtree/sandbox"
)

// Audits names what can be told of programs in containers. What the engine says of a container's files (its diff) is not asked
// for: a program that makes millions of them has it answered with all their names at once.
func (d *Driver) Audits() (names []string, lacks error) {
	lacks = errors.New("an engine tells of no program and no system call")
	names = []string{backends.AuditLimits}
	if d.config.shared() {
		names = append(names, backends.AuditFilesChanged)
	}
	return names, lacks
}

// tellsChanges says whether changes of files are asked for. Code: Unsupported, if the host does not see them.
func (l label) tellsChanges() (bool, error) {
	if f := l.Audit.Files; f != sandbox.AuditFilesChanged && f != sandbox.AuditFilesAll {
		return false, nil
	}
	if l.Workspace == "" {
		return false, coded{sandbox.Unsupported, fmt.Errorf("audit.files is %q, and the workspace is where this machine does not see it: name one", l.Audit.Files)}
	}
	return true, nil
}

// auditing is what is told of sandboxes, by this process.
type auditing struct {
	starved map[sandbox.ID]int64 // processes that the kernel has killed, of which it is about to be told
	last    int64                // when the latest of them was killed, as the engine has it, in nanoseconds
	looks   *audit.Looks
	files   map[*running]*audit.Follow // of runs whose files are looked at
}

// starving is how long is waited for more to tell, so that no more than one record comes in that time.
const starving = time.Second

// starve notes that a process was killed for want of memory, and has it told. Events that are read a second time are not.
func (d *Driver) starve(id sandbox.ID, when int64) {
	if d.config.OnAudit == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if when <= d.audit.last || d.closed {
		return
	}
	d.audit.last = when
	if d.audit.starved == nil {
		d.audit.starved = map[sandbox.ID]int64{}
	}
	if d.audit.starved[id]++; d.audit.starved[id] > 1 {
		return
	}
	d.wg.Go(func() { d.tellStarved(id, when) })
}

// attempts is how many times it is tried to tell of the killed.
const attempts = 100

// tellStarved tells, in a while, how many have been killed; what nobody takes it tells again, with those that come to it.
func (d *Driver) tellStarved(id sandbox.ID, when int64) {
	for range attempts {
		closing := !d.wait(starving)
		d.mu.Lock()
		n := d.audit.starved[id]
		d.mu.Unlock()
		l, err := d.home(id).read()
		if err == nil && l.Audit.Limits {
			err = d.config.OnAudit(id, []sandbox.AuditRecord{{Time: time.Unix(0, when).UTC(), Kind: sandbox.AuditLimit, Limit: backends.LimitMemory, Times: n}})
		} else {
			err = nil // nobody asks
		}
		d.mu.Lock()
		if err == nil {
			d.audit.starved[id] -= n
		}
		done := d.audit.starved[id] == 0 || closing
		if done {
			delete(d.audit.starved, id)
		}
		d.mu.Unlock()
		if closing && err != nil {
			break
		}
		if done {
			return
		}
	}
	d.log.Error("that processes were killed for want of memory is not on record", "id", id)
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.audit.starved, id)
}

// wait waits so long, or says that the driver is closed.
func (d *Driver) wait(long time.Duration) bool {
	t := time.NewTimer(long)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-d.life.Done():
		return false
	}
}

// watchFiles has it told which files actions change, if that is asked for. It returns when it is known what there was before, or
// a start has no more time for it.
func (i *instance) watchFiles(ctx context.Context) error {
	wanted, err := i.label.tellsChanges()
	d := i.d
	if err != nil || !wanted || d.config.OnAudit == nil {
		return err
	}
	d.mu.Lock()
	_, watched := d.audit.files[i.container]
	if watched || d.closed {
		d.mu.Unlock()
		return nil
	}
	if d.audit.files == nil {
		d.audit.files = map[*running]*audit.Follow{}
	}
	h, l := i.home, i.label
	f := audit.NewFollow(d.audit.looks, l.Workspace, func() bool {
		now, err := h.read()
		return err == nil && now.Audit.Files == l.Audit.Files
	}, func(r sandbox.AuditRecord) error { return d.config.OnAudit(l.ID, []sandbox.AuditRecord{r}) })
	d.audit.files[i.container] = f
	d.wg.Go(func() {
		d.followFiles(f, l, i.container)
		d.mu.Lock()
		delete(d.audit.files, i.container)
		d.mu.Unlock()
	})
	d.mu.Unlock()
	f.Await(ctx)
	return nil
}

// followFiles tells what f finds, until the run has ended or nobody asks any more.
func (d *Driver) followFiles(f *audit.Follow, l label, run *running) {
	ctx, stop := context.WithCancel(d.life)
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		select {
		case <-run.letgo:
			stop()
		case <-ctx.Done():
		}
	})
	if err := f.Run(ctx); err != nil {
		d.log.Warn("it cannot be told which files of a sandbox change", "id", l.ID, "err", err)
	}
	stop()
}

// Acted says that an action has ended, which may have changed files.
func (i *instance) Acted() {
	i.d.mu.Lock()
	f := i.d.audit.files[i.container]
	i.d.mu.Unlock()
	if f != nil {
		f.Acted()
	}
}
