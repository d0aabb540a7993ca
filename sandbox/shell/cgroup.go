package shell

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/sandbox"
)

// confine makes the session's cgroup, if it is to have one, for its bash to be born in. The session has a cgroup of its
// own below the one it is given: sessions share that, and yet each can be ended alone.
func (s *Session) confine() (err error) {
	if s.config.Cgroup != "" && s.cgroup == "" { // see begin for the limit that there is without
		s.cgroup, err = makeCgroup(s.config.Cgroup)
	}
	return err
}

// makeCgroup makes a cgroup for one session below dir.
func makeCgroup(dir string) (string, error) {
	dir = filepath.Join(dir, "shell-"+sandbox.RandomHex(6))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", startError(fmt.Errorf("make the session's cgroup: %w", err))
	}
	return dir, nil
}

func joinCgroup(dir string, pid int) error {
	if err := writeControl(dir, "cgroup.procs", strconv.Itoa(pid)); err != nil {
		return startError(fmt.Errorf("join the session's cgroup: %w", err))
	}
	return nil
}

// endCgroup kills what is in dir and removes it.
func endCgroup(dir string) error {
	return errors.Join(KillCgroup(dir), removeCgroup(dir, time.Now().Add(killLimit)))
}

func writeControl(dir, name, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// KillCgroup kills every process in the cgroup dir and in those below it, except the caller, and waits until none is
// left. The cgroups that sessions made below dir are removed; dir itself stays.
func KillCgroup(dir string) error {
	_ = writeControl(dir, "cgroup.kill", "1") // version 2, all at once; the loop below is for version 1, and waits for both
	until := time.Now().Add(killLimit)
	for {
		pids, err := membersBelow(dir)
		if err != nil {
			return err
		}
		left := 0
		for _, pid := range pids {
			if pid != os.Getpid() {
				killWithGroup(pid)
				left = pid
			}
		}
		if left == 0 {
			return removeBelow(dir, until)
		}
		if time.Now().After(until) {
			return fmt.Errorf("cgroup %s: process %d outlives SIGKILL", dir, left)
		}
		awaitExit(left)
	}
}

// killWithGroup kills pid and, if that leads its group, the whole group at once, so that nothing forks out of the way.
func killWithGroup(pid int) {
	if group, err := unix.Getpgid(pid); err == nil && group == pid {
		_ = unix.Kill(-pid, unix.SIGKILL)
	}
	_ = unix.Kill(pid, unix.SIGKILL)
}

// membersBelow lists the processes in dir and in the cgroups below it.
func membersBelow(dir string) (pids []int, err error) {
	err = eachCgroup(dir, func(d string) error {
		b, err := os.ReadFile(filepath.Join(d, "cgroup.procs"))
		for _, f := range bytes.Fields(b) {
			if pid := number(f); pid > 0 { // 0 is one of another pid namespace
				pids = append(pids, pid)
			}
		}
		return err
	})
	return pids, err
}

// eachCgroup calls f for dir and the cgroups below it, the deepest first.
func eachCgroup(dir string, f func(dir string) error) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return gone(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := eachCgroup(filepath.Join(dir, e.Name()), f); err != nil {
				return err
			}
		}
	}
	return gone(f(dir))
}

// gone forgives err if it says that a cgroup is not there (any more).
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// removeBelow removes the cgroups below dir. A process that has been killed is in its cgroup until its parent has
// taken notice, and no event tells of that, hence the pauses.
func removeBelow(dir string, until time.Time) error {
	return eachCgroup(dir, func(d string) error {
		if d == dir {
			return nil
		}
		return removeCgroup(d, until)
	})
}

func removeCgroup(dir string, until time.Time) error {
	for {
		err := unix.Rmdir(dir)
		if err != unix.EBUSY || time.Now().After(until) {
			return gone(err)
		}
		time.Sleep(time.Millisecond)
	}
}
