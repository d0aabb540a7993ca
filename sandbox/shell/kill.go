package shell

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox"
)

// A cage is where a session's processes are, for all of them to be ended: a cgroup of its own, if one is to be had, and
// the kernel's sessions that its shells lead.
type cage struct {
	group   string      // "" none
	leaders []reap.Proc // shells that were started
}

// newCage makes a cage. Its cgroup is below dir: sessions share that, and yet each can be ended alone.
func newCage(dir string) (cage, error) {
	if dir == "" {
		return cage{}, nil
	}
	dir = filepath.Join(dir, "shell-"+sandbox.RandomHex(6))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return cage{}, startError(fmt.Errorf("make the session's cgroup: %w", err))
	}
	return cage{group: dir}, nil
}

// add notes that process pid leads a session.
func (c *cage) add(pid int) {
	if p, err := reap.Stat(pid); err == nil {
		c.leaders = append(c.leaders, p)
	}
}

// empty kills all that is in the cage and waits until it is gone.
func (c *cage) empty() error {
	ctx, cancel := context.WithTimeout(context.Background(), reap.Patience)
	defer cancel()
	if c.group != "" {
		_, err := reap.KillCgroup(ctx, c.group)
		return err
	}
	_, err := reap.Kill(ctx, c.inhabitants)
	return err
}

// inhabitants are the processes of the leaders' sessions, and the leaders' descendants in other sessions.
func (c *cage) inhabitants() ([]reap.Proc, error) {
	ours := map[int]uint64{}
	for _, l := range c.leaders {
		if now, err := reap.Stat(l.PID); err != nil || now.Start == l.Start {
			ours[l.PID] = l.Start // else another process has taken the number, and the session is over
		}
	}
	if len(ours) == 0 {
		return nil, nil
	}
	all, err := reap.List()
	below := map[int]bool{}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			start, led := ours[p.SID]
			if fits := led && p.Start >= start || below[p.PPID]; fits && !below[p.PID] && p.PID != os.Getpid() {
				below[p.PID], grown = true, true
			}
		}
	}
	found := all[:0]
	for _, p := range all {
		if below[p.PID] {
			found = append(found, p)
		}
	}
	return found, err
}

// remove removes the cgroup of an empty cage. A process that has been killed is in its cgroup until its parent has taken
// notice, and no event tells of that, hence the pauses.
func (c *cage) remove() error {
	if c.group == "" {
		return nil
	}
	for until := time.Now().Add(reap.Patience); ; time.Sleep(time.Millisecond) {
		err := cgroup.Remove(c.group)
		if err == nil || time.Now().After(until) {
			c.group = ""
			return err
		}
	}
}

// destroy empties and removes it.
func (c *cage) destroy() error { return errors.Join(c.empty(), c.remove()) }
