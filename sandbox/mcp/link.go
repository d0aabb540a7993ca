package mcp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// A link is a session with a server, and what carries it.
type link struct {
	session *sdk.ClientSession
	program *program // nil if the server is elsewhere
	pid     int
	once    sync.Once
}

// handshake is the protocol that servers are first greeted with: all know the greeting of this one, and some versions of
// Python's SDK take a newer one's amiss.
const handshake = "2025-11-25"

// connect starts the server, if it is a program, and greets it. ctx bounds the connection, not only its making.
func (u *upstream) connect(ctx context.Context) (*link, error) {
	l, err := u.greet(ctx, handshake)
	if e, ok := errors.AsType[*jsonrpc.Error](err); ok && (e.Code == sdk.CodeUnsupportedProtocolVersion || e.Code == jsonrpc.CodeMethodNotFound) {
		return u.greet(ctx, "") // it knows newer protocols alone
	}
	return l, err
}

func (u *upstream) greet(ctx context.Context, protocol string) (*link, error) {
	l := &link{}
	transport, err := u.transport(l)
	if err != nil {
		return nil, err
	}
	client := sdk.NewClient(&sdk.Implementation{Name: "sandtree", Version: u.hub.config.Version}, u.hub.clientOptions(u))
	client.AddReceivingMiddleware(u.hub.guardedClient)
	client.AddSendingMiddleware(unasking)
	l.session, err = client.Connect(ctx, transport, &sdk.ClientSessionOptions{ProtocolVersion: protocol})
	if err != nil {
		l.close()
		return nil, l.explain(err)
	}
	return l, nil
}

func (u *upstream) transport(l *link) (sdk.Transport, error) {
	switch u.config.Type {
	case SSE:
		return &sdk.SSEClientTransport{Endpoint: u.config.URL, HTTPClient: u.httpClient(), MaxEventSize: maxMessage}, nil
	case HTTP:
		return &sdk.StreamableClientTransport{Endpoint: u.config.URL, HTTPClient: u.httpClient(), MaxEventSize: maxMessage}, nil
	}
	var err error
	if l.program, err = u.hub.startProgram(u.config); err != nil {
		return nil, err
	}
	l.pid = l.program.child.PID
	return l.program, nil
}

// httpClient sends the configured headers, but not to where a redirection leads.
func (u *upstream) httpClient() *http.Client {
	home, _ := url.Parse(u.config.URL) // has been checked
	return &http.Client{Transport: carrier{home, u.config.Headers}}
}

// A carrier carries requests to a server elsewhere, with the headers that are for its host.
type carrier struct {
	home    *url.URL
	headers map[string]string
}

// RoundTrip implements http.RoundTripper.
func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	if len(c.headers) > 0 && r.URL.Host == c.home.Host && r.URL.Scheme == c.home.Scheme {
		r = r.Clone(r.Context())
		for name, value := range c.headers {
			r.Header.Set(name, value)
		}
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/event-stream") { // whose events the SDK bounds
		answer.Body = &short{answer.Body, maxMessage}
	}
	return answer, err
}

// A short body fails when it is longer than it may be: the SDK reads it to its end.
type short struct {
	io.ReadCloser
	left int
}

func (s *short) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if s.left -= n; s.left < 0 {
		return 0, errLongLine
	}
	return n, err
}

// close ends the session and the program. It may be called again.
func (l *link) close() {
	l.once.Do(func() {
		if l.program != nil {
			l.program.end()
		}
		if l.session != nil {
			closeSession(l.session)
		}
	})
}

// closeTime is how long the end of a session is waited for. A server elsewhere is told of it, which the SDK gives 5 s.
const closeTime = 10 * time.Second

// closeSession ends a session. The SDK waits for what is under way there, and is not to be waited for if that hangs.
func closeSession(s interface{ Close() error }) {
	closed := make(chan struct{})
	go func() { // left behind if it hangs
		defer close(closed)
		_ = s.Close()
	}()
	within(closeTime, closed)
}

// explain adds to err how the program ended and what it said last. Only after close.
func (l *link) explain(err error) error {
	if l.program == nil {
		return err
	}
	return l.program.explain(err)
}
