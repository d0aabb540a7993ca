package jail

import (
	"context"
	"path/filepath"
	"strconv"

	"github.com/sandtree/sandtree/internal/audit"
	"github.com/sandtree/sandtree/sandbox"
)

// maxChanges is how many files one record tells of.
const maxChanges = 256

// workspace is where this process sees the sandbox's, whatever it lies on. The way there is the jail's own, which nothing in it can
// change.
func (e *ear) workspace() string {
	return filepath.Join("/proc", strconv.Itoa(e.server.PID), "root", workDir)
}

// lookForChanges tells, after each action, which files of the workspace have changed.
func (e *ear) lookForChanges(ctx context.Context) {
	before, err := audit.Look(e.workspace())
	close(e.based)
	for {
		if err != nil && e.server.Alive() {
			e.d.log.Warn("it cannot be told which files of a sandbox change", "id", e.label.ID, "err", err)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-e.server.Done():
			return
		case <-e.acted:
		}
		var after audit.Tree
		if after, err = audit.Look(e.workspace()); err != nil || !e.server.Alive() { // else the number may be another's by now
			continue
		}
		if list, more := before.Changes(after, maxChanges); len(list) > 0 {
			e.tell(sandbox.AuditRecord{Kind: sandbox.AuditChanged, Changes: list, Untold: int64(more), Cut: !before.Whole || !after.Whole})
		}
		before = after
	}
}

// Acted says that an action has ended, which may have changed files.
func (i *instance) Acted() {
	i.d.mu.Lock()
	e := i.d.ears[i.process.Identity]
	i.d.mu.Unlock()
	if e == nil {
		return
	}
	select {
	case e.acted <- struct{}{}:
	default: // it will look anyway
	}
}
