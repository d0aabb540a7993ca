package mcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sandtree/sandtree/sandbox"
)

// The older form over HTTP, as the original speaks it: a GET whose answer is a stream of events, the first of which says
// where messages are to be posted.

const (
	messagesPath = "/mcp/messages/"
	pingEvery    = 15 * time.Second // a comment, by which a client that has gone is noticed
	maxInbox     = 64               // messages of one session that wait to be read
)

// sseSide are the sessions of that form.
type sseSide struct {
	hub *Hub

	mu       sync.Mutex
	sessions map[string]*sseSession // by id
}

// An sseSession is one stream, and the sdk.Connection over it.
type sseSession struct {
	id    string
	inbox chan jsonrpc.Message
	gone  chan struct{}
	once  sync.Once
	used  atomic.Int64 // when a message last went either way, nanoseconds since began
	began time.Time

	mu sync.Mutex // held while writing
	w  http.ResponseWriter
	up bool // w may be used
}

// open answers with a stream, until either side ends it.
func (s *sseSide) open(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	c := &sseSession{id: sandbox.RandomHex(16), inbox: make(chan jsonrpc.Message, maxInbox), gone: make(chan struct{}),
		w: w, up: true, began: time.Now()}
	if !s.add(c) {
		tooMany(w)
		return
	}
	defer s.remove(c)
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	if c.send("event: endpoint\r\ndata: "+messagesPath+"?session_id="+c.id+"\r\n\r\n") != nil {
		return
	}
	session, err := s.hub.front().Connect(r.Context(), c, nil)
	if err != nil {
		return
	}
	c.attend(r.Context())
	c.finish()
	_ = session.Close()
}

// add notes a session, unless there are as many as there may be.
func (s *sseSide) add(c *sseSession) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.countLocked() >= maxSessions {
		return false
	}
	s.sessions[c.id] = c
	return true
}

func (s *sseSide) remove(c *sseSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, c.id)
}

// full says whether there are as many sessions as there may be.
func (s *sseSide) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.countLocked() >= maxSessions
}

// countLocked counts the sessions of both forms.
func (s *sseSide) countLocked() int {
	n := len(s.sessions)
	for session := range s.hub.front().Sessions() {
		if s.sessions[session.ID()] == nil {
			n++
		}
	}
	return n
}

// attend pings the client until the stream ends, and ends it when it has been idle.
func (c *sseSession) attend(ctx context.Context) {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.gone:
			return
		case now := <-ticker.C:
			if time.Since(c.began)-time.Duration(c.used.Load()) > idleSession {
				return
			}
			if c.send(": ping - "+now.UTC().Format("2006-01-02 15:04:05.000000+00:00")+"\r\n\r\n") != nil {
				return
			}
		}
	}
}

// finish sees to it that nobody writes any more: w must not be used when its handler has returned.
func (c *sseSession) finish() {
	_ = c.Close()
	c.mu.Lock()
	c.up = false
	c.mu.Unlock()
}

func (c *sseSession) touch() { c.used.Store(int64(time.Since(c.began))) }

// send writes an event.
func (c *sseSession) send(event string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.up {
		return io.ErrClosedPipe
	}
	if _, err := io.WriteString(c.w, event); err != nil {
		return err
	}
	return http.NewResponseController(c.w).Flush()
}

// post takes a message for a session.
func (s *sseSide) post(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	status, text := s.take(w, r)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

func (s *sseSide) take(w http.ResponseWriter, r *http.Request) (status int, text string) {
	// That a page of another site cannot send without asking first.
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return http.StatusBadRequest, "Invalid Content-Type header"
	}
	id := r.URL.Query().Get("session_id")
	if id == "" {
		return http.StatusBadRequest, "session_id is required"
	}
	if id, ok := hexID(id); ok {
		s.mu.Lock()
		c := s.sessions[id]
		s.mu.Unlock()
		if c == nil {
			return http.StatusNotFound, "Could not find session"
		}
		return c.take(w, r)
	}
	return http.StatusBadRequest, "Invalid session ID"
}

func (c *sseSession) take(w http.ResponseWriter, r *http.Request) (status int, text string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return http.StatusRequestEntityTooLarge, fmt.Sprintf("A message has at most %d bytes", maxMessage)
	}
	if err != nil {
		return http.StatusBadRequest, "Could not parse message"
	}
	messages := decode(body)
	if messages == nil {
		return http.StatusBadRequest, "Could not parse message"
	}
	c.touch()
	for _, m := range messages {
		select {
		case c.inbox <- m:
		case <-c.gone:
			return http.StatusNotFound, "Could not find session"
		case <-r.Context().Done():
			return http.StatusRequestTimeout, ""
		}
	}
	return http.StatusAccepted, "Accepted"
}

// hexID reads an id as Python's UUID(hex=…) does, within reason: 32 hex digits, which may be grouped by dashes.
func hexID(s string) (string, bool) {
	s = strings.ToLower(strings.ReplaceAll(s, "-", ""))
	return s, len(s) == 32 && strings.Trim(s, "0123456789abcdef") == ""
}

// Connect implements sdk.Transport.
func (c *sseSession) Connect(context.Context) (sdk.Connection, error) { return c, nil }

// SupportsProtocolVersion implements sdk.ProtocolVersionSupporter: protocols since 2026-07-28 do not have this form.
func (c *sseSession) SupportsProtocolVersion(v string) bool { return v < "2026-07-28" }

// SessionID implements sdk.Connection.
func (c *sseSession) SessionID() string { return c.id }

// Read implements sdk.Connection.
func (c *sseSession) Read(ctx context.Context) (jsonrpc.Message, error) {
	select {
	case m := <-c.inbox:
		return m, nil
	case <-c.gone:
		return nil, io.EOF
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Write implements sdk.Connection.
func (c *sseSession) Write(_ context.Context, m jsonrpc.Message) error {
	b, err := jsonrpc.EncodeMessage(m)
	if err != nil {
		return err
	}
	c.touch()
	var event bytes.Buffer
	event.Grow(len(b) + 32)
	event.WriteString("event: message\r\ndata: ")
	event.Write(b) // has no line ends: JSON escapes them
	event.WriteString("\r\n\r\n")
	return c.send(event.String())
}

// Close implements sdk.Connection.
func (c *sseSession) Close() error {
	c.once.Do(func() { close(c.gone) })
	return nil
}
