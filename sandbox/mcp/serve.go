package mcp

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	maxSessions = 64               // of clients, both forms together
	idleSession = 30 * time.Minute // that a streamable session lasts without a request, and an SSE one without a message either way
	slowClient  = 30 * time.Second // that a client may take to read what it is sent
	headTime    = 10 * time.Second
)

// httpSide is the HTTP server that clients are led to, made by the first Dial.
type httpSide struct {
	mu     sync.Mutex
	ln     *listener
	server *http.Server
	sse    *sseSide
	closed bool
}

// Dial gives a connection to the HTTP server of the Hub, which it makes if there is none yet. Its paths are /sse,
// /mcp/sse, /messages/ and /mcp/messages/ (SSE), /mcp and /v1/mcp (streamable). Code: Unavailable (closed).
func (h *Hub) Dial(ctx context.Context) (net.Conn, error) {
	s := &h.http
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, errClosed()
	}
	if s.ln == nil {
		s.ln = &listener{conns: make(chan net.Conn), done: make(chan struct{})}
		s.server = &http.Server{Handler: h.handler(), ReadHeaderTimeout: headTime, IdleTimeout: headTime,
			BaseContext: func(net.Listener) context.Context { return h.life }}
		h.work.Go(func() { _ = s.server.Serve(s.ln) }) // ends with close
	}
	ln := s.ln
	s.mu.Unlock()
	return ln.dial(ctx)
}

func (s *httpSide) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.server != nil {
		s.server.Close()
	}
}

// A listener hands out one end of a pipe to whoever dials and the other to the server.
type listener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *listener) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.done:
		return nil, errClosed()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return nowhere{} }

type nowhere struct{}

func (nowhere) Network() string { return "pipe" }
func (nowhere) String() string  { return "mcp" }

func (h *Hub) handler() http.Handler {
	streamable := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return h.front() },
		&sdk.StreamableHTTPOptions{SessionTimeout: idleSession, MaxRequestBodyBytes: maxMessage})
	h.http.sse = &sseSide{hub: h, sessions: map[string]*sseSession{}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.config.Guarded && !LocalPage(r.Header.Get("Origin"), r.Host) {
			http.Error(w, "Invalid Origin header", http.StatusForbidden)
			return
		}
		w = &patient{w, http.NewResponseController(w)}
		switch path := strings.TrimSuffix(r.URL.Path, "/"); path {
		case "/sse", "/mcp/sse":
			h.http.sse.open(w, r)
		case "/messages", "/mcp/messages":
			h.http.sse.post(w, r)
		default:
			if r.Method == http.MethodPost && r.Header.Get("Mcp-Session-Id") == "" && h.http.sse.full() {
				tooMany(w)
				return
			}
			streamable.ServeHTTP(w, r)
		}
	})
}

func tooMany(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "10")
	http.Error(w, "Too many MCP sessions: close some, or try again later", http.StatusServiceUnavailable)
}

// LocalPage says whether a page of that origin may talk to a server that asks for no key and was called host: one of this
// machine, or one that comes from the server itself by its address. What is left is strangers', and names, which
// strangers can make lead here (DNS rebinding).
func LocalPage(origin, host string) bool {
	if origin == "" {
		return true // no page
	}
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	name := u.Hostname()
	ip := net.ParseIP(name)
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || ip.IsLoopback() || ip != nil && strings.EqualFold(u.Host, host)
}

// patient is a ResponseWriter whose client has a while to read each piece, but not for ever: streams have no end that a
// limit for the whole could be.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (p *patient) Write(b []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(slowClient))
	return p.ResponseWriter.Write(b)
}

// Flush implements http.Flusher.
func (p *patient) Flush() {
	_ = p.control.SetWriteDeadline(time.Now().Add(slowClient))
	_ = p.control.Flush()
}

// Unwrap is for http.ResponseController.
func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }
