package child

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/reap"
)

// A Cage is where processes that belong together are, for all of them to be ended: a cgroup of their own, if one is to be
// had, and the kernel's sessions that they lead. The zero Cage has no cgroup. Not safe for concurrent use.
type Cage struct {
	Group   string      // directory of the cgroup; "" none
	leaders []reap.Proc // that were started
}

// NewCage makes a cage with a cgroup of its own below dir, so that those who share dir can be ended each alone; dir "" is
// none.
func NewCage(dir, prefix string) (Cage, error) {
	if dir == "" {
		return Cage{}, nil
	}
	dir = filepath.Join(dir, prefix+"-"+strings.ToLower(rand.Text()[:12]))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return Cage{}, fmt.Errorf("make a cgroup: %w", err)
	}
	return Cage{Group: dir}, nil
}

// CanEnter says whether a process that has one thread can move itself, at once, into a cgroup below dir, by writing 0 to its
// Entrance: so it is with version 1. With version 2 the kernel waits for all processors first, some 10 ms.
func CanEnter(dir string) bool {
	_, err := os.Stat(Entrance(dir))
	return dir != "" && err == nil
}

// Entrance is that file of a cgroup.
func Entrance(group string) string { return filepath.Join(group, "tasks") }

// Add notes that process pid leads a session.
func (c *Cage) Add(pid int) {
	if p, err := reap.Stat(pid); err == nil {
		c.leaders = append(c.leaders, p)
	}
}

// PIDs gives the processes that are in the cage now.
func (c *Cage) PIDs() ([]int, error) {
	find := c.inhabitants
	if c.Group != "" {
		find = reap.InCgroup(c.Group)
	}
	procs, err := find()
	pids := make([]int, len(procs))
	for i, p := range procs {
		pids[i] = p.PID
	}
	slices.Sort(pids)
	return pids, err
}

// Empty kills all that is in the cage and waits until it is gone.
func (c *Cage) Empty() error {
	ctx, cancel := context.WithTimeout(context.Background(), reap.Patience)
	defer cancel()
	if c.Group != "" {
		_, err := reap.KillCgroup(ctx, c.Group)
		return err
	}
	_, err := reap.Kill(ctx, c.inhabitants)
	return err
}

// inhabitants are the processes of the leaders' sessions, and their descendants in other sessions.
func (c *Cage) inhabitants() ([]reap.Proc, error) {
	ours := map[int]uint64{}
	for _, l := range c.leaders {
		if now, err := reap.Stat(l.PID); err != nil || now.Start == l.Start {
			ours[l.PID] = l.Start // else another process has taken the number, and the session is over
		}
	}
	if len(ours) == 0 {
		return nil, nil
	}
	begun := reap.Ticks()
	family, err := families(ours)
	var found []reap.Proc
	for pid, start := range family {
		p, err := reap.Stat(pid)
		if err != nil || p.Start < start || ended(pid) {
			continue
		}
		// One that was found may have ended since, and its number be another's, who is younger than the look.
		_, member := ours[p.SID]
		if _, descends := family[p.PPID]; member || descends || p.Start < begun {
			found = append(found, p)
		}
	}
	return found, err
}

// families finds the members of sessions and their descendants, and gives each the value of its session. It takes as
// little as it can from each process there is, for there may be many.
func families(sessions map[int]uint64) (map[int]uint64, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	family, parents := map[int]uint64{}, map[int]int{}
	for _, name := range names {
		pid, notNumber := strconv.Atoi(name)
		if notNumber != nil || pid == os.Getpid() {
			continue
		}
		session, gone := unix.Getsid(pid)
		if value, ok := sessions[session]; ok && gone == nil {
			family[pid] = value
		} else if parent := parentOf(name); parent > 1 {
			parents[pid] = parent
		}
	}
	for grown := true; grown; {
		grown = false
		for pid, parent := range parents {
			if value, ok := family[parent]; ok {
				family[pid], grown = value, true
				delete(parents, pid)
			}
		}
	}
	return family, err
}

// parentOf reads the parent's number of the process with that number; 0 if it has ended.
func parentOf(pid string) int {
	fd, err := unix.Open("/proc/"+pid+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	var buf [128]byte // "pid (name) state ppid …": the name has 15 bytes
	n, _ := unix.Read(fd, buf[:])
	stat := buf[:max(n, 0)]
	if f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]); len(f) > 2 {
		ppid, _ := strconv.Atoi(string(f[1]))
		return ppid
	}
	return 0
}

// ended says whether pid has exited, though perhaps its parent has not taken notice.
func ended(pid int) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return errors.Is(err, unix.ESRCH)
	}
	defer unix.Close(fd)
	n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return n > 0
}

// Remove removes the cgroup of an empty cage. A process that has been killed is in its cgroup until its parent has taken
// notice, and no event tells of that, hence the pauses.
func (c *Cage) Remove() error {
	if c.Group == "" {
		return nil
	}
	for until := time.Now().Add(reap.Patience); ; time.Sleep(time.Millisecond) {
		err := cgroup.Remove(c.Group)
		if err == nil || time.Now().After(until) {
			c.Group = ""
			return err
		}
	}
}

// Destroy empties and removes it.
func (c *Cage) Destroy() error { return errors.Join(c.Empty(), c.Remove()) }
