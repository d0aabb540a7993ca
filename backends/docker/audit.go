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
	d.wg.Go(func() {
		t := time.NewTimer(starving)
		defer t.Stop()
		select {
		case <-t.C:
		case <-d.life.Done():
		}
		d.mu.Lock()
		n := d.audit.starved[id]
		delete(d.audit.starved, id)
		d.mu.Unlock()
		if l, err := d.home(id).read(); err == nil && l.Audit.Limits {
			d.config.OnAudit(id, sandbox.AuditRecord{Time: time.Unix(0, when).UTC(), Kind: sandbox.AuditLimit, Limit: backends.LimitMemory, Times: n})
		}
	})
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
	}, func(r sandbox.AuditRecord) error { d.config.OnAudit(l.ID, r); return nil })
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
