package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// OpenHands is any server that speaks the OpenHands action protocol: POST /execute_action with an action, answered by an
// observation. Each server is one runtime.
type OpenHands struct {
	key    string
	client *http.Client

	mu   sync.Mutex
	free []string // base URLs
	all  []string
}

// NewOpenHands takes the addresses of servers, as "http://localhost:3000", and the key that they ask for; "" is none. Code: Invalid.
func NewOpenHands(key string, urls ...string) (*OpenHands, error) {
	o := &OpenHands{key: key, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}}
	for _, text := range urls {
		u, err := url.Parse(text)
		if err == nil && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			err = fmt.Errorf("want an address such as http://localhost:3000, have %q", text)
		}
		if err != nil {
			return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "url", Err: err}
		}
		o.all = append(o.all, strings.TrimSuffix(u.String(), "/"))
	}
	o.free = append(o.free, o.all...)
	return o, nil
}

// About says what it is. The key stays out.
func (o *OpenHands) About() About {
	return About{Name: "openhands", Kind: "openhands", Settings: map[string]string{"url": strings.Join(o.all, " ")}}
}

// Standing says why starts mean nothing.
func (o *OpenHands) Standing() string { return "the server runs already" }

// Close hangs up.
func (o *OpenHands) Close(context.Context) error {
	o.client.CloseIdleConnections()
	return nil
}

// Start takes a server that nobody uses, and waits until it says that it is alive, which is when it is ready. Code: Unsupported, if there is none.
func (o *OpenHands) Start(ctx context.Context, w Wish) (Runtime, error) {
	if w != (Wish{}) {
		return nil, unsupported("start", "a server has no rest and no snapshots")
	}
	s, err := o.take()
	if err != nil {
		return nil, err
	}
	if err := s.alive(ctx); err != nil {
		return nil, errors.Join(err, s.Stop(ctx))
	}
	return s, nil
}

func (o *OpenHands) take() (*server, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.free) == 0 {
		return nil, unsupported("start", fmt.Sprintf("each server is one runtime, and there are %d: name more", len(o.all)))
	}
	s := &server{openHands: o, base: o.free[0]}
	o.free = o.free[1:]
	return s, nil
}

// patience is how long a server may take to be alive, and glance how long it is left alone in between: the protocol has nothing that tells.
const (
	patience = 30 * time.Second
	glance   = 50 * time.Millisecond
)

// alive waits until the server answers /alive with 200.
func (s *server) alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var why error // the last that is not the end of our patience
	for {
		err := s.ask(ctx)
		if err == nil || sandbox.CodeOf(err) == sandbox.Denied { // which does not change by itself
			return err
		}
		if ctx.Err() == nil || why == nil {
			why = err
		}
		select {
		case <-time.After(glance):
		case <-ctx.Done():
			return &sandbox.Error{Code: sandbox.Unavailable, Op: "alive", Err: fmt.Errorf("%s is not alive after %v: %w", s.base, patience, why)}
		}
	}
}

func (s *server) ask(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/alive", nil)
	if err != nil {
		return err
	}
	if s.openHands.key != "" {
		req.Header.Set(wire.HeaderKey, s.openHands.key)
	}
	resp, err := s.openHands.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
	switch {
	case err != nil || resp.StatusCode == http.StatusOK:
		return err
	case refusal(resp.StatusCode) == sandbox.Denied:
		return &sandbox.Error{Code: sandbox.Denied, Op: "alive", Err: fmt.Errorf("%s: %s: %w", s.base, resp.Status, errKey)}
	}
	return errors.New(resp.Status)
}

// server is a runtime.
type server struct {
	openHands *OpenHands
	base      string
	stop      sync.Once
}

func (s *server) ID() string { return s.base }

// Stop lets the next have the server.
func (s *server) Stop(context.Context) error {
	s.stop.Do(func() {
		s.openHands.mu.Lock()
		defer s.openHands.mu.Unlock()
		s.openHands.free = append(s.openHands.free, s.base)
	})
	return nil
}

// maxAnswer bounds an answer: 64 MiB, more than the largest that is asked for, of 10 MB, as JSON.
const maxAnswer = 64 << 20

// execute performs an action.
func (s *server) execute(ctx context.Context, args sandbox.Args) (sandbox.Observation, error) {
	body := append([]byte(`{"action":`), wire.AppendAction(nil, sandbox.Action{Args: args})...)
	body = append(body, '}')
	failed := func(code sandbox.Code, err error) (sandbox.Observation, error) {
		return sandbox.Observation{}, &sandbox.Error{Code: code, Op: string(args.Kind()), Err: err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/execute_action", bytes.NewReader(body))
	if err != nil {
		return failed(sandbox.Invalid, err)
	}
	req.Header.Set("Content-Type", wire.TypeJSON)
	if s.openHands.key != "" {
		req.Header.Set(wire.HeaderKey, s.openHands.key)
	}
	resp, err := s.openHands.client.Do(req)
	if err != nil {
		return failed(sandbox.Lost, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return failed(sandbox.Lost, err)
	}
	switch code := refusal(resp.StatusCode); {
	case resp.StatusCode == http.StatusOK:
	case code == sandbox.Denied:
		return failed(code, fmt.Errorf("%s: %.200s: %w", resp.Status, answer, errKey))
	default:
		return failed(code, fmt.Errorf("%s: %.200s", resp.Status, answer))
	}
	o, err := wire.ParseObservation(answer)
	if err != nil {
		return failed(sandbox.Internal, err)
	}
	if e, ok := o.Result.(sandbox.ErrorResult); ok {
		return failed(sandbox.Internal, fmt.Errorf("%s: %.200s", e.ErrorID, o.Content))
	}
	return o, nil
}

var errKey = errors.New("it wants another key than it was given: the sandtree command takes it from SESSION_API_KEY")

// refusal is what a status says. The protocol's servers have 500 for what they cannot do.
func refusal(status int) sandbox.Code {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return sandbox.Denied
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return sandbox.Exhausted
	}
	return sandbox.Unsupported
}

// Run performs a command in the server's shell.
func (s *server) Run(ctx context.Context, command string) (Seen, error) {
	o, err := s.execute(ctx, sandbox.RunArgs{Command: command, Blocking: true})
	if err != nil {
		return Seen{}, err
	}
	return seen(o), nil
}

// Cell runs a Python cell.
func (s *server) Cell(ctx context.Context, code string) (string, error) {
	o, err := s.execute(ctx, sandbox.IPythonArgs{Code: code})
	return o.Content, err
}

// Write writes a text file, as the protocol can.
func (s *server) Write(ctx context.Context, path string, content []byte) error {
	_, err := s.execute(ctx, sandbox.WriteArgs{Path: path, Content: string(content), Start: 0, End: -1})
	return err
}

// Read reads one.
func (s *server) Read(ctx context.Context, path string) (int64, error) {
	o, err := s.execute(ctx, sandbox.ReadArgs{Path: path, Start: 0, End: -1})
	return int64(len(o.Content)), err
}

// Edit replaces a text.
func (s *server) Edit(ctx context.Context, path, old, new string) error {
	o, err := s.execute(ctx, sandbox.EditArgs{Path: path, Command: "str_replace", OldStr: &old, NewStr: &new, Impl: "oh_aci", Start: 1, End: -1})
	return refused(o, err)
}
