package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
)

// errLost is the error of every call when the browser has ended.
var errLost = errors.New("the browser has ended")

const (
	maxMessage = 96 << 20         // bytes of one message: a snapshot of a page with 100,000 elements has 40 MB
	writeTime  = 10 * time.Second // for a message to be taken: a browser that reads nothing for so long hangs
)

// A conn is the DevTools connection: messages that end in a NUL byte, over two pipes that nobody else has. Safe for
// concurrent use.
type conn struct {
	r, w *os.File
	done chan struct{} // closed when the browser's end is

	writing sync.Mutex
	wg      sync.WaitGroup // the reader, and what it has started

	mu       sync.Mutex
	closed   bool
	last     int64
	waiting  map[int64]chan reply
	sessions map[string]*session
}

// A session is the conversation with one target; the one called "" is with the browser itself.
type session struct {
	conn *conn
	id   string
	on   func(method string, params []byte) // called for each event in order, by the reader: it must not wait
	gone chan struct{}                      // closed when the target has crashed or is closed
	once sync.Once
	why  error // of that; set before gone is closed
}

type reply struct {
	result json.RawMessage
	err    error
}

// A message is any of a call, a reply and an event.
type message struct {
	ID        int64           `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *protocolError  `json:"error,omitempty"`
}

// A protocolError is what the browser answers to a call that fails.
type protocolError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *protocolError) Error() string { return e.Message }

// newConn talks over r and w, which it closes. on gets the events of the browser itself.
func newConn(r, w *os.File, on func(method string, params []byte)) (*conn, *session) {
	c := &conn{r: r, w: w, done: make(chan struct{}), waiting: map[int64]chan reply{}, sessions: map[string]*session{}}
	root := c.session("", on)
	c.wg.Go(c.read)
	return c, root
}

// session begins to take the events of a target that is attached.
func (c *conn) session(id string, on func(method string, params []byte)) *session {
	s := &session{conn: c, id: id, on: on, gone: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions[id] = s
	return s
}

// end makes all calls of s fail with why.
func (s *session) end(why error) {
	s.once.Do(func() {
		s.why = why
		close(s.gone)
	})
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	delete(s.conn.sessions, s.id)
}

// spawn runs f beside the reader, which must not wait; not any more once c is closed.
func (c *conn) spawn(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.wg.Go(f)
	}
}

// call performs a command and waits for its reply.
func call[P, R any](ctx context.Context, s *session, command cdp.Command[P, R], params P) (result R, err error) {
	err = s.call(ctx, command.Method, params, &result)
	return result, err
}

func (s *session) call(ctx context.Context, method string, params, result any) error {
	id, ch, err := s.send(method, params)
	if err != nil {
		return err
	}
	return s.wait(ctx, id, ch, result)
}

// send performs a command whose reply is waited for later: commands are performed in the order they are sent.
func (s *session) send(method string, params any) (id int64, ch chan reply, err error) {
	p, err := json.Marshal(params)
	if err != nil {
		return 0, nil, fmt.Errorf("%s: %w", method, err)
	}
	ch = make(chan reply, 1)
	id = s.conn.expect(ch)
	if err = s.conn.write(message{ID: id, SessionID: s.id, Method: method, Params: p}); err != nil {
		s.conn.forget(id)
	}
	return id, ch, err
}

func (s *session) wait(ctx context.Context, id int64, ch chan reply, result any) error {
	defer s.conn.forget(id)
	select {
	case r := <-ch:
		if r.err != nil {
			return r.err
		}
		return json.Unmarshal(r.result, result)
	case <-s.gone:
		return s.why
	case <-s.conn.done:
		return errLost
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *conn) expect(ch chan reply) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	c.waiting[c.last] = ch
	return c.last
}

func (c *conn) forget(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

func (c *conn) write(m message) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.w.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return errLost
	}
	if _, err := c.w.Write(append(b, 0)); err != nil {
		c.w.Close() // half a message may have been written: nothing after it could be understood
		return errLost
	}
	return nil
}

// read hands out what comes until the browser's end is closed.
func (c *conn) read() {
	defer close(c.done)
	for in := bufio.NewReaderSize(c.r, 64<<10); ; {
		raw, tooLong, err := next(in)
		if err != nil {
			return
		}
		var m message
		if tooLong {
			m = message{ID: idOf(raw), Error: &protocolError{Message: "the browser's answer has more than " + strconv.Itoa(maxMessage>>20) + " MiB"}}
		} else if json.Unmarshal(raw, &m) != nil {
			continue
		}
		c.hand(m)
	}
}

func (c *conn) hand(m message) {
	c.mu.Lock()
	ch, s := c.waiting[m.ID], c.sessions[m.SessionID]
	c.mu.Unlock()
	switch {
	case m.Method != "" && s != nil:
		s.on(m.Method, m.Params)
	case m.Method == "" && ch != nil && m.Error != nil:
		ch <- reply{err: m.Error} // has room for it, and there is but one
	case m.Method == "" && ch != nil:
		ch <- reply{result: m.Result}
	}
}

// next reads a message. Of one that is too long it gives the beginning and skips the rest.
func next(in *bufio.Reader) (raw []byte, tooLong bool, err error) {
	for {
		part, err := in.ReadSlice(0)
		if len(raw)+len(part) > maxMessage {
			tooLong = true
			raw = raw[:min(len(raw), 64)]
		}
		if !tooLong {
			raw = append(raw, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil:
			return nil, false, err
		case tooLong:
			return raw, true, nil
		default:
			return raw[:len(raw)-1], false, nil
		}
	}
}

// idOf reads the id that a reply begins with.
func idOf(raw []byte) (id int64) {
	const head = `{"id":`
	if len(raw) < len(head) || string(raw[:len(head)]) != head {
		return 0
	}
	for _, b := range raw[len(head):] {
		if b < '0' || b > '9' || id > 1<<53 {
			break
		}
		id = id*10 + int64(b-'0')
	}
	return id
}

// close ends the connection, which ends the browser, and waits for the reader.
func (c *conn) close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	err := errors.Join(c.w.Close(), c.r.Close())
	c.wg.Wait()
	if errors.Is(err, os.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return err
}
