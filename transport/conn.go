package transport

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sandtree/sandtree/sandbox/wire"
)

const (
	readBuffer  = 16 << 10  // bytes; also the longest head of an answer. Longer reads of a body bypass it
	writeBuffer = 64 << 10  // bytes of a request sent in one write: one packet and one wake-up for all but large actions
	writeStep   = 256 << 10 // bytes written under one deadline: at 256 KiB per Stall even a slow line is no dead one
	maxIdleTime = time.Minute
)

var (
	errClosed   = errors.New("the client is closed")
	errCanceled = errors.New("the caller waits no longer") // never seen outside: the context's own error is reported
	longAgo     = time.Unix(1, 0)
)

// conn is one connection, used by one request at a time. Its Read and Write are those of net.Conn, each bounded by the
// longest silence that the request allows.
type conn struct {
	net.Conn
	raw    syscall.RawConn // to look at the socket; nil if there is none
	in     *bufio.Reader
	out    []byte // what is about to be written
	answer fasthttp.Response
	frames *wire.FrameReader // over the body of the answer, whichever it is

	quiet     time.Duration // the longest silence
	until     time.Time     // nothing is read after; zero: no such time
	canceled  atomic.Bool
	unwatched func() bool // ends the watch of the request's context; nil if there is none
	broken    error       // the first failure of the connection; nil if an answer that failed was malformed
	framed    bool        // the body has been read by frames
	used      time.Time   // when it became idle
}

func newConn(nc net.Conn) *conn {
	k := &conn{Conn: nc}
	k.in = bufio.NewReaderSize(k, readBuffer)
	k.answer.StreamBody = true
	k.frames = wire.NewFrameReader((*body)(k))
	if s, ok := nc.(syscall.Conn); ok {
		k.raw, _ = s.SyscallConn()
	}
	return k
}

// body reads the body of the answer that a conn is at.
type body conn

func (b *body) Read(p []byte) (int, error) {
	r := b.answer.BodyStream()
	if r == nil {
		return 0, io.EOF
	}
	return r.Read(p)
}

func (k *conn) Read(p []byte) (int, error) {
	deadline := time.Now().Add(k.quiet)
	if !k.until.IsZero() && k.until.Before(deadline) {
		deadline = k.until
	}
	k.SetReadDeadline(deadline)
	if k.canceled.Load() { // after the deadline: cancel sets its own after the flag, so one of the two is seen
		return 0, k.broke(errCanceled)
	}
	n, err := k.Conn.Read(p)
	return n, k.broke(err)
}

func (k *conn) Write(p []byte) (written int, err error) {
	for len(p) > 0 {
		k.SetWriteDeadline(time.Now().Add(k.quiet))
		if k.canceled.Load() {
			return written, k.broke(errCanceled)
		}
		n, err := k.Conn.Write(p[:min(len(p), writeStep)])
		if written += n; err != nil {
			return written, k.broke(err)
		}
		p = p[n:]
	}
	return written, nil
}

func (k *conn) broke(err error) error {
	if err != nil && k.broken == nil {
		k.broken = err
	}
	return err
}

// cancel makes the request in progress fail, from another goroutine.
func (k *conn) cancel() {
	k.canceled.Store(true)
	k.SetDeadline(longAgo)
}

// watch cancels the request when ctx ends, until unwatch.
func (k *conn) watch(ctx context.Context) {
	k.unwatched = nil
	if ctx.Done() != nil {
		k.unwatched = context.AfterFunc(ctx, k.cancel)
	}
}

// unwatch ends the watch. False means that it was too late: cancel has run, or is about to.
func (k *conn) unwatch() bool { return k.unwatched == nil || k.unwatched() }

// fresh readies an idle connection for the next request; false means that it is of no use: too old, closed by the other
// side, or in the middle of something.
func (k *conn) fresh() bool {
	if time.Since(k.used) > maxIdleTime {
		return false
	}
	k.until = time.Time{}
	k.quiet = 100 * time.Millisecond // the end of the last answer came with its last frame, or is about to
	return k.finish() && k.in.Buffered() == 0 && k.silent()
}

// finish reads what is left of an answer of which all that matters has been seen.
func (k *conn) finish() bool {
	if k.answer.BodyStream() != nil {
		var err error
		if k.framed {
			_, err = k.frames.Next()
		} else {
			_, err = io.ReadFull((*body)(k), make([]byte, 1))
		}
		if err != io.EOF {
			return false
		}
		k.answer.CloseBodyStream()
	}
	return !k.answer.ConnectionClose()
}

// silent says that the socket is open and nothing has come that nobody asked for. A connection whose server died would
// take the request and lose it, and then nobody knows whether it arrived.
func (k *conn) silent() bool {
	if k.raw == nil {
		return true
	}
	alive := false
	err := k.raw.Control(func(fd uintptr) { // not Read: it fails when an old deadline has passed
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		alive = err == syscall.EAGAIN || err == syscall.EINTR
	})
	return err == nil && alive
}
