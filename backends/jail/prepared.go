package jail

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/stage"
)

// prepared is a tree with what is the same in all jails of a driver, put together once: to copy it takes the kernel a tenth of the time. It
// shows what was there when it was made. So it is made anew as soon as something else is at one of the paths that it shows, or anything
// has been mounted on the host, or unmounted: no jail shows less, or more, than one that is put together by itself.
type prepared struct {
	mu     sync.Mutex
	closed bool
	cannot bool     // the kernel puts nothing together
	tree   *os.File // nil is none
	mounts int      // a descriptor that tells, once, when the mounts of the host have changed; 0 is none
	seen   []place
}

// place says what was at a path.
type place struct {
	path     string
	dev, ino uint64
}

// copy gives a copy of the tree that spec says, with points; nil where there can be none, and a stage has to put it together.
func (p *prepared) copy(spec *stage.Spec, points []string) (*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.cannot {
		return nil, nil
	}
	if p.tree == nil || p.stale() {
		if err := p.makeLocked(spec, points); errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
			p.cannot = true
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
	return stage.CopyTree(p.tree)
}

func (p *prepared) makeLocked(spec *stage.Spec, points []string) (err error) {
	p.dropLocked()
	if p.mounts == 0 { // not by package os, whose poller would be told instead
		fd, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return os.NewSyscallError("open", err)
		}
		p.mounts = fd
	}
	p.seen = nil
	for _, m := range spec.Mounts { // before they are opened: what changes meanwhile is found the next time
		if m.Kind == "" {
			p.seen = append(p.seen, look(m.Source))
		}
	}
	err = apart(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		unix.Umask(0) // of this thread
		// A child that is forked meanwhile would have its files open for writing until it executes something: the kernel would not
		// make it read-only (EBUSY).
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		p.tree, err = stage.Tree(spec, points)
		return err
	})
	if err != nil {
		return fmt.Errorf("put together what jails show: %w", err)
	}
	return nil
}

// stale says whether what the tree shows may not be what is there.
func (p *prepared) stale() bool {
	changed := []unix.PollFd{{Fd: int32(p.mounts), Events: unix.POLLPRI}}
	if n, err := unix.Poll(changed, 0); n != 0 || err != nil { // see proc_pid_mounts(5)
		return true
	}
	for _, s := range p.seen {
		if look(s.path) != s {
			return true
		}
	}
	return false
}

func look(path string) place {
	var s unix.Stat_t
	if unix.Stat(path, &s) != nil {
		return place{path: path}
	}
	return place{path, s.Dev, s.Ino}
}

func (p *prepared) dropLocked() {
	if p.tree != nil {
		p.tree.Close()
		p.tree = nil
	}
}

// close lets go of it. Idempotent.
func (p *prepared) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.dropLocked()
	if p.mounts > 0 {
		unix.Close(p.mounts)
		p.mounts = 0
	}
}
