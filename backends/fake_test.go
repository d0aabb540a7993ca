package backends_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/pipenet"
)

// cloud is a driver whose sandboxes are a server in this process that is alive and takes every lease, and which fails as
// it is told.
type cloud struct {
	t        *testing.T
	fail     []error // of the next calls, in order; nil succeeds
	fresh    bool
	answers  bool // what its servers do when asked whether they are alive
	status   int  // of a lease; 0 is 204
	exits    bool // at once
	enforces []string

	mu     sync.Mutex
	calls  []string
	placed map[sandbox.ID]*vm
}

func newCloud(t *testing.T) *cloud {
	return &cloud{t: t, fresh: true, answers: true, placed: map[sandbox.ID]*vm{}}
}

func (c *cloud) call(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, name)
	if len(c.fail) == 0 {
		return nil
	}
	err := c.fail[0]
	c.fail = c.fail[1:]
	return err
}

func (c *cloud) Start(_ context.Context, spec sandbox.Spec) (backends.Instance, error) {
	if err := c.call("Start"); err != nil {
		return nil, err
	}
	v := &vm{cloud: c, ended: make(chan struct{})}
	v.net = pipenet.Serve(c.t, &fasthttp.Server{Handler: v.serve})
	if c.exits {
		close(v.ended)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.placed[spec.ID] = v
	return v, nil
}

func (c *cloud) Attach(_ context.Context, id sandbox.ID) (backends.Instance, error) {
	if err := c.call("Attach"); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if v := c.placed[id]; v != nil {
		return v, nil
	}
	return nil, &sandbox.Error{Code: sandbox.NotFound, Err: errors.New("no such machine")}
}

func (c *cloud) List(context.Context, string) ([]backends.Listed, error) { return nil, c.call("List") }
func (c *cloud) Enforces() []string                                      { return c.enforces }

type vm struct {
	cloud *cloud
	net   *pipenet.Net
	ended chan struct{}
}

func (v *vm) serve(ctx *fasthttp.RequestCtx) {
	switch {
	case string(ctx.Path()) == "/v1/lease" && v.cloud.status != 0:
		ctx.SetStatusCode(v.cloud.status)
		ctx.SetBodyString(`{"error":{"code":"conflict","message":"a newer epoch","details":{},"timestamp":"2026-01-01T00:00:00Z"}}`)
	case string(ctx.Path()) == "/v1/lease":
		ctx.SetStatusCode(fasthttp.StatusNoContent)
	case v.cloud.answers:
		ctx.SetBodyString(`{"status":"ok"}`)
	default:
		ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
	}
}

func (v *vm) Dial(ctx context.Context) (net.Conn, error) { return v.net.Dial(ctx) }
func (v *vm) Key() string                                { return "key" }
func (v *vm) Fresh() bool                                { return v.cloud.fresh }

func (v *vm) Wait(ctx context.Context) (sandbox.Exit, error) {
	select {
	case <-v.ended:
		return sandbox.Exit{Code: 1}, nil
	case <-ctx.Done():
		return sandbox.Exit{}, ctx.Err()
	}
}

func (v *vm) Stop(context.Context, time.Duration) error { return v.cloud.call("Stop") }
func (v *vm) Halt(context.Context) error                { return v.cloud.call("Halt") }
