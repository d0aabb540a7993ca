package shell

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/sandbox"
)

// maxUntaken is how much an outlet keeps that nobody takes: a pasted file, not a flood.
const maxUntaken = 1 << 20 // bytes

var errUntaken = &sandbox.Error{Code: sandbox.Exhausted, Op: "shell", Err: errors.New("the program does not read what is typed")}

var errEnded = &sandbox.Error{Code: sandbox.Conflict, Op: "shell", Err: errors.New("the input has been ended: nothing can be added to it")}

// An outlet writes to a non-blocking descriptor without making the writer wait: what is not taken at once is written by
// a goroutine, in order.
type outlet struct {
	fd    int
	quit  int  // a descriptor that becomes readable when the outlet is to give up
	own   bool // the descriptor is the outlet's, which closes it
	large bool // one write may be larger than what is kept otherwise

	mu     sync.Mutex
	rest   []byte
	busy   bool // drain runs
	shut   bool
	ending bool // nothing is to come after the rest
	wg     sync.WaitGroup
}

// write writes p, now or later. Code: Exhausted.
func (o *outlet) write(p []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.shut:
		return unix.EPIPE
	case o.ending || o.fd < 0:
		return errEnded
	}
	if !o.busy {
		n, err := o.writeNow(p)
		if err != nil || n == len(p) {
			return err
		}
		p = p[n:]
	}
	if len(o.rest)+len(p) > maxUntaken && !o.large {
		return errUntaken
	}
	o.rest = append(o.rest, p...)
	if !o.busy {
		o.busy = true
		o.wg.Go(o.drain)
	}
	return nil
}

// writeNow writes what is taken at once.
func (o *outlet) writeNow(p []byte) (n int, err error) {
	for n < len(p) {
		w, err := writeNow(o.fd, p[n:])
		switch err {
		case nil:
			n += w
		case unix.EINTR:
		case unix.EAGAIN:
			return n, nil
		default:
			return n, err
		}
	}
	return n, nil
}

// drain writes the rest.
func (o *outlet) drain() {
	for {
		o.mu.Lock()
		fds := []unix.PollFd{{Fd: int32(o.fd), Events: unix.POLLOUT}, {Fd: int32(o.quit), Events: unix.POLLIN}}
		n, err := o.writeNow(o.rest)
		o.rest = o.rest[n:]
		if err != nil || o.shut || len(o.rest) == 0 {
			o.rest, o.busy = nil, false
			o.endLocked()
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		_, _ = unix.Poll(fds, -1)
	}
}

// drop forgets what has not been taken yet.
func (o *outlet) drop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rest = nil
}

// end closes the descriptor once all has been written that was to be.
func (o *outlet) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ending = true
	if !o.busy {
		o.endLocked()
	}
}

func (o *outlet) endLocked() {
	if o.ending && o.own && o.fd >= 0 {
		_ = unix.Close(o.fd)
		o.fd = -1
	}
}

// reopen forgets what has not been taken, and has open give another descriptor if end has been called.
func (o *outlet) reopen(open func() (int, error)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rest = nil
	if !o.ending {
		return
	}
	o.ending = false
	if o.fd >= 0 { // not closed yet, and so as good as new
		return
	}
	if fd, err := open(); err == nil {
		o.fd = fd
	}
}

// close gives up and waits. Its quit descriptor must be readable by now.
func (o *outlet) close() {
	o.mu.Lock()
	o.shut = true
	o.mu.Unlock()
	o.wg.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ending = true
	o.endLocked()
}
