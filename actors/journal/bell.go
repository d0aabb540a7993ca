package journal

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// A bell is a one-byte file beside the database with two uses.
//
// Processes wait their turn to write on its lock, in the kernel's queue: SQLite's own way to wait for a writer is to
// sleep and try again, up to 100 ms at a time, which starves whoever meets a busy one.
//
// It is rung, by writing to it, after each commit, and watched by processes with subscribers. The log file itself is
// no bell: it is written before the commit can be seen, so that the one it wakes may look too early and sleep on. A
// process killed between commit and ring is heard too, as the kernel closes its files.
type bell struct{ file *os.File }

var errTurn = errors.New("no turn to write")

func openBell(path string) (*bell, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return &bell{f}, nil
}

func (b *bell) fd() int { return int(b.file.Fd()) }

// takeTurn waits until no other process writes. One goroutine of a process at a time.
func (b *bell) takeTurn() error {
	err := syscall.Flock(b.fd(), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil || !errors.Is(err, syscall.EWOULDBLOCK) {
		return err
	}
	return b.waitTurn()
}

// waitTurn gives up after busyTimeout, which a stopped process (SIGSTOP) can make it reach.
func (b *bell) waitTurn() error {
	got := make(chan error, 1)
	given := make(chan bool, 1) // whether the turn is still wanted when it comes
	go func() {
		err := flock(b.fd())
		got <- err
		if !<-given && err == nil {
			b.endTurn()
		}
	}()
	timeout := time.NewTimer(busyTimeout)
	defer timeout.Stop()
	select {
	case err := <-got:
		given <- true
		return err
	case <-timeout.C:
		given <- false
		return fmt.Errorf("%w in %v", errTurn, busyTimeout)
	}
}

func flock(fd int) error {
	for {
		if err := syscall.Flock(fd, syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func (b *bell) endTurn() { _ = syscall.Flock(b.fd(), syscall.LOCK_UN) } // fails only for a descriptor that is none

// ring wakes the watchers. A lost ring delays them until the next; there is nobody to tell.
func (b *bell) ring() { _, _ = b.file.WriteAt([]byte{0}, 0) }

func (b *bell) close() error { return b.file.Close() }
