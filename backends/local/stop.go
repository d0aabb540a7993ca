package local

import (
	"context"
	"path/filepath"
	"syscall"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/internal/reap"
)

// disperse kills the descendants of a server that is about to be killed: once it is dead, nobody can tell whose they were.
func disperse(ctx context.Context, p *held.Process) error {
	if err := p.Signal(syscall.SIGSTOP); err != nil { // so that it does not replace what is killed
		return err
	}
	_, err := reap.Kill(ctx, reap.Descendants(p.PID))
	return err
}

// sweep kills what is left of a sandbox whose server is dead: all in its control group, and all that carry its mark,
// servers too that were started by a process which died before it could note them. Where there is no group, also what is
// in the sessions that the server has noted: a program need not pass the mark on.
func sweep(ctx context.Context, h homes.Home, l *label) error {
	if _, err := reap.KillCgroup(ctx, l.Cgroup); err != nil {
		return err
	}
	find, looks := reap.Marked(homes.MarkName, l.Mark), 1
	if l.Cgroup == "" {
		leaders, err := reap.ReadRecord(filepath.Join(home{h}.stateDir(), reap.RecordFile))
		if err != nil {
			return err
		}
		find = reap.Any(find, reap.InSessions(leaders))
		looks = 2 // in the middle of an exec a process has no environment, and is overlooked
	}
	for range looks {
		if _, err := reap.Kill(ctx, find); err != nil {
			return err
		}
	}
	return nil
}

// release removes what a sandbox has outside of its home.
func release(_ context.Context, h homes.Home, l *label) error {
	err := l.removeSocket(home{h})
	if err == nil && l.Cgroup != "" {
		err = cgroup.Remove(l.Cgroup)
	}
	return err
}
