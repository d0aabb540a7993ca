package drivertest

import (
	"context"
	"io"
	"maps"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/runtimetest"
)

// Conform runs the conformance suite of runtimes through a driver, several sandboxes at a time. It takes minutes, most of
// them waiting; a driver's own test calls it beside Run.
func Conform(t *testing.T, place Place) {
	runtimetest.Conform(t, runtimetest.Place{Open: func(t *testing.T, want runtimetest.Want) runtimetest.Opened {
		w := newWorld(t, place)
		env := maps.Clone(want.Env)
		if env == nil {
			env = map[string]string{}
		}
		if want.Soft > 0 {
			env["NO_CHANGE_TIMEOUT_SECONDS"] = strconv.Itoa(int(want.Soft / time.Second))
		}
		b, spec := w.open(), sandbox.Spec{ID: "conform", Env: env}
		p := &placed{}
		p.now.Store(w.start(b, spec))
		o := runtimetest.Opened{Runtime: p, Browser: true, Soft: want.Soft, Dial: p.dial}
		if k, ok := p.instance().(backends.Keyed); ok {
			o.Key = k.Key()
		}
		if _, ok := p.instance().(backends.Halter); ok {
			o.Restart = func() {
				if err := p.now.Load().Halt(w.context()); err != nil {
					t.Fatal(err)
				}
				p.now.Store(w.start(b, spec))
			}
		}
		return o
	}})
}

// placed is a sandbox that may be revived under the hands of who uses it.
type placed struct {
	now atomic.Pointer[backends.Sandbox]
}

func (p *placed) instance() backends.Instance { return p.now.Load().Instance() }

func (p *placed) dial(ctx context.Context) (net.Conn, error) { return p.instance().Dial(ctx) }

// Do and the rest implement sandbox.Runtime.
func (p *placed) Do(ctx context.Context, a sandbox.Action, out sandbox.Output) (sandbox.Observation, error) {
	return p.now.Load().Do(ctx, a, out)
}

func (p *placed) Ping(ctx context.Context) error { return p.now.Load().Ping(ctx) }

func (p *placed) List(ctx context.Context, path string) ([]string, error) {
	return p.now.Load().List(ctx, path)
}

func (p *placed) Get(ctx context.Context, path string, w io.Writer) error {
	return p.now.Load().Get(ctx, path, w)
}

func (p *placed) Put(ctx context.Context, path string, r io.Reader) error {
	return p.now.Load().Put(ctx, path, r)
}

func (p *placed) GetTree(ctx context.Context, path string, w io.Writer) error {
	return p.now.Load().GetTree(ctx, path, w)
}

func (p *placed) PutTree(ctx context.Context, path string, r io.Reader) error {
	return p.now.Load().PutTree(ctx, path, r)
}
