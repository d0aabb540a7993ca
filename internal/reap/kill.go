// Package reap ends processes that are known by something else than their parent: the mark in their environment, their
// session, their cgroup, their ancestor. It is how a server that was killed does not leave behind what it had started,
// and how one that stops takes everything along.
//
// A process is named by its number and its start, and signalled through a pidfd, so that one which has taken an old
// number is never hit. Nothing here is exact against a process that works against it, except a cgroup: a mark can be
// wiped, a session left. Only Linux.
package reap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// batch is how many processes are ended at a time: each takes a descriptor meanwhile, and 1024 are often all there are.
const batch = 256

// Kill ends every process that find names, and returns when find names none any more and those it did have ended, with
// their number. First all are stopped, looking again until there is no new one, so that they cannot start others faster
// than they are killed. Processes that the kernel does not let go (waiting for a dead disk) last until ctx ends; those
// that we may not signal are left, and are an error.
func Kill(ctx context.Context, find Finder) (int, error) {
	k := killer{find: find, refused: map[name]bool{}}
	for {
		if err := ctx.Err(); err != nil {
			return k.killed, fmt.Errorf("killing: %w", err)
		}
		procs, err := k.stopAll()
		if err != nil {
			return k.killed, err
		}
		if len(procs) == 0 {
			if len(k.refused) > 0 {
				return k.killed, fmt.Errorf("not permitted to kill %d processes", len(k.refused))
			}
			return k.killed, nil
		}
		if err := k.end(ctx, procs[:min(len(procs), batch)]); err != nil {
			return k.killed, err
		}
	}
}

type killer struct {
	find    Finder
	killed  int
	refused map[name]bool // these we may not signal
}

// stopAll stops what is found and returns it, once looking again shows nothing new.
func (k *killer) stopAll() ([]Proc, error) {
	stopped := map[name]bool{}
	for {
		procs, err := k.find()
		if err != nil {
			return nil, err
		}
		fresh, kept := false, procs[:0]
		for _, p := range procs {
			if k.refused[p.name()] {
				continue
			}
			kept = append(kept, p)
			if stopped[p.name()] {
				continue
			}
			stopped[p.name()], fresh = true, true
			Signal(p, unix.SIGSTOP) // whatever is wrong, end will see it
		}
		if !fresh {
			return kept, nil
		}
	}
}

// Signal sends s to p, and to nobody if that has ended.
func Signal(p Proc, s unix.Signal) {
	if fd := open(p); fd >= 0 {
		_ = unix.PidfdSendSignal(fd, s, nil, 0)
		unix.Close(fd)
	}
}

// open gives a pidfd of p, -1 if p has ended.
func open(p Proc) int {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return -1
	}
	if now, err := Stat(p.PID); err != nil || now.Start != p.Start {
		unix.Close(fd)
		return -1
	}
	return fd
}

// end kills procs and waits until they have ended, whoever reaps them.
func (k *killer) end(ctx context.Context, procs []Proc) error {
	var fds []int
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	for _, p := range procs {
		fd := open(p)
		if fd < 0 {
			continue
		}
		switch err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); {
		case errors.Is(err, unix.EPERM):
			k.refused[p.name()] = true
			unix.Close(fd)
			continue
		case err != nil && !errors.Is(err, unix.ESRCH):
			unix.Close(fd)
			return fmt.Errorf("kill %d: %w", p.PID, err)
		}
		k.killed++
		fds = append(fds, fd)
	}
	return await(ctx, fds)
}

// await returns when the processes of all the pidfds have ended.
func await(ctx context.Context, fds []int) error {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		_, _ = unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // a counter of zero takes it
	})
	defer func() {
		if !stop() {
			<-woken // wake is still in use
		}
		unix.Close(wake)
	}()
	waiting := []unix.PollFd{{Fd: int32(wake), Events: unix.POLLIN}}
	for _, fd := range fds {
		waiting = append(waiting, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	for len(waiting) > 1 {
		if _, err := unix.Poll(waiting, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("poll", err)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%d processes do not end: %w", len(waiting)-1, ctx.Err())
		}
		kept := waiting[:1]
		for _, w := range waiting[1:] {
			if w.Revents == 0 {
				kept = append(kept, w)
			}
		}
		waiting = kept
	}
	return nil
}

// KillTree ends the descendants of this process and reaps them. It takes every child, so it is only for the end, when
// nobody else waits for one. It needs Adopt, without which orphans fall to another.
func KillTree(ctx context.Context) (int, error) {
	n, err := Kill(ctx, Descendants(os.Getpid()))
	for {
		if pid, werr := unix.Wait4(-1, nil, unix.WNOHANG, nil); werr != nil && !errors.Is(werr, unix.EINTR) || pid == 0 {
			return n, err
		}
	}
}

// Patience is how long killed processes are waited for: they end in milliseconds unless the kernel itself is stuck.
const Patience = 10 * time.Second
