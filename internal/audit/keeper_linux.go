package audit

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/sandbox"
)

// keeper is one, for one sandbox.
type keeper struct {
	config   Config
	decider  decider
	listener listener
	server   int     // a pidfd
	inHand   *notice // the call that is dealt with, in the memory of a file
	queue    *queue
	summing  sync.Mutex // held by whoever waits to sum up
}

// maxMemory is what the keeper's heap is kept to, in bytes: most of it are records that wait, which are bounded by themselves.
const maxMemory = 32 << 20

// Keep is a keeper, from the descriptors that it is handed down to the end of the sandbox. It ends with that alone.
func Keep() error {
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	debug.SetMemoryLimit(maxMemory)
	c, err := receive()
	if err != nil {
		return err
	}
	for fd := ServerFD; fd <= LoadedFD; fd++ {
		unix.CloseOnExec(fd)
	}
	k := &keeper{config: c, server: ServerFD, queue: newQueue(c.Rate)}
	if k.decider, err = newDecider(c.Calls); err != nil {
		return err
	}
	if err := k.holdState(); err != nil {
		return err
	}
	at, err := listenAt(ListenFD)
	if err != nil {
		return err
	}
	if err := giveUp(); err != nil {
		return err
	}
	if there, err := k.take(); err != nil || !there {
		return errors.Join(err, at.Close())
	}
	var wg sync.WaitGroup
	ended := make(chan struct{})
	wg.Go(func() { k.queue.serve(at, ended) })
	err = k.watch()
	k.queue.close()
	close(ended)
	wg.Wait()
	return err
}

// listenAt takes over a listening Unix socket.
func listenAt(fd int) (*net.UnixListener, error) {
	f := os.NewFile(uintptr(fd), "listen")
	if f == nil {
		return nil, fmt.Errorf("descriptor %d is none", fd)
	}
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	at, ok := l.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(errors.New("records are asked for at a Unix socket"), l.Close())
	}
	at.SetUnlinkOnClose(false) // it is another's to remove
	return at, nil
}

// holdState maps the file that tells a successor which call was in hand.
func (k *keeper) holdState() error {
	b, err := unix.Mmap(StateFD, 0, StateSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("what a keeper leaves to the next: %w", err)
	}
	k.inHand = (*notice)(unsafe.Pointer(&b[0])) // for good
	return nil
}

// take gets the filter's descriptor from the sandbox's first process, once it has it. If that ends before, there is none.
func (k *keeper) take() (there bool, err error) {
	for {
		_, err := unix.Read(LoadedFD, make([]byte, 1))
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	unix.Close(LoadedFD)
	fd, err := unix.PidfdGetfd(k.server, k.config.Descriptor, 0)
	switch {
	case errors.Is(err, unix.ESRCH):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("take the descriptor of the filter: %w", err)
	}
	k.listener = listener(fd)
	k.listener.takeTurns()
	return true, nil
}

// watch deals with one call after the other.
func (k *keeper) watch() error {
	runtime.LockOSThread() // so that the scheduler has no reason to look for another one while it waits in the kernel
	defer runtime.UnlockOSThread()
	if n := k.inHand; k.config.Successor {
		k.queue.put(sandbox.AuditRecord{Kind: sandbox.AuditGap})
		if n.ID != 0 && k.listener.valid(n.ID) { // which the one before has not answered
			k.deal(n)
		}
	}
	for {
		more, err := k.listener.wait(k.server)
		if err != nil || !more {
			return err
		}
		switch err := k.listener.receive(k.inHand); {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENOENT): // the caller was killed before
		case err != nil:
			return err
		default:
			k.deal(k.inHand)
		}
	}
}

// deal tells of a call, if there is room for it, and answers it.
func (k *keeper) deal(n *notice) {
	c, known := k.config.Calls[int(n.Number)]
	c = k.decider.answer(c, known, n)
	switch {
	case !known: // nobody asked to be told
	case k.queue.wants(c.Kind):
		if r := k.read(n, c); r.Process != nil && k.listener.valid(n.ID) {
			k.queue.put(r)
		}
	default:
		k.sumUp()
	}
	_ = k.listener.answer(n.ID, c.Errno) // of one who waits no more
}

// read reads all that is told of a call.
func (k *keeper) read(n *notice, c Call) sandbox.AuditRecord {
	r := describe(n, c)
	r.Process = k.process(int(n.PID))
	if c.Kind == sandbox.AuditExec && r.Path != "" {
		r.Missing = missing(int(n.PID), r.Path)
	}
	return r
}

// sumUp sees to it that what is not told now is at least counted for somebody, once there is room.
func (k *keeper) sumUp() {
	if !k.summing.TryLock() {
		return
	}
	time.AfterFunc(time.Second, func() {
		more := k.queue.sum()
		k.summing.Unlock()
		if more {
			k.sumUp()
		}
	})
}
