package docker

import (
	"errors"
	"fmt"
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
	starved map[sandbox.ID]int64         // processes that the kernel has killed, of which it is about to be told
	last    int64                        // when the latest of them was killed, as the engine has it, in nanoseconds
	acted   map[*running]chan<- struct{} // of runs whose files are looked at
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

// watchFiles has it told which files actions change, if that is asked for. It returns when it is known what there was before.
func (i *instance) watchFiles() error {
	wanted, err := i.label.tellsChanges()
	d := i.d
	if err != nil || !wanted || d.config.OnAudit == nil {
		return err
	}
	acted, based := make(chan struct{}, 1), make(chan struct{})
	d.mu.Lock()
	_, watched := d.audit.acted[i.container]
	if watched || d.closed {
		d.mu.Unlock()
		return nil
	}
	if d.audit.acted == nil {
		d.audit.acted = map[*running]chan<- struct{}{}
	}
	d.audit.acted[i.container] = acted
	d.wg.Go(func() {
		d.look(i.home, i.label, i.container, acted, based)
		d.mu.Lock()
		delete(d.audit.acted, i.container)
		d.mu.Unlock()
	})
	d.mu.Unlock()
	<-based
	return nil
}

// maxChanges is how many files one record tells of.
const maxChanges = 256

// look tells, after each action, which files of the workspace have changed, until the run has ended or nobody asks any more.
func (d *Driver) look(h home, l label, run *running, acted <-chan struct{}, based chan<- struct{}) {
	before, err := audit.Look(l.Workspace)
	close(based)
	for {
		if err != nil {
			d.log.Warn("it cannot be told which files of a sandbox change", "id", l.ID, "err", err)
			return
		}
		select {
		case <-run.letgo:
			return
		case <-d.life.Done():
			return
		case <-acted:
		}
		if now, err := h.read(); err != nil || now.Audit.Files != l.Audit.Files {
			return
		}
		var after audit.Tree
		if after, err = audit.Look(l.Workspace); err != nil {
			continue
		}
		if list, more := before.Changes(after, maxChanges); len(list) > 0 {
			d.config.OnAudit(l.ID, sandbox.AuditRecord{Time: time.Now().UTC(), Kind: sandbox.AuditChanged, Changes: list, Untold: int64(more),
				Cut: !before.Whole || !after.Whole})
		}
		before = after
	}
}

// Acted says that an action has ended, which may have changed files.
func (i *instance) Acted() {
	i.d.mu.Lock()
	defer i.d.mu.Unlock()
	select {
	case i.d.audit.acted[i.container] <- struct{}{}: // none is never ready
	default:
	}
}
