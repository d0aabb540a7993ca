package target

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// cuts are the connections to sandboxes, to be cut.
type cuts struct {
	mu   sync.Mutex
	open map[*cuttable]sandbox.ID
}

// cut ends all connections to a sandbox, as a network would that goes away: neither end is told.
func (c *cuts) cut(id sandbox.ID) {
	c.mu.Lock()
	var theirs []*cuttable
	for conn, of := range c.open {
		if of == id {
			theirs = append(theirs, conn)
		}
	}
	c.mu.Unlock()
	for _, conn := range theirs {
		conn.Close()
	}
}

func (c *cuts) dial(ctx context.Context, i backends.Instance, id sandbox.ID) (net.Conn, error) {
	conn, err := i.Dial(ctx)
	if err != nil {
		return nil, err
	}
	cc := &cuttable{Conn: conn, of: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[cc] = id
	return cc, nil
}

// cuttable is a connection that is known until it is closed.
type cuttable struct {
	net.Conn
	of *cuts
}

func (c *cuttable) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// full is what the drivers of our own backends can, of what a start needs.
type full interface {
	backends.Driver
	backends.Limiter
	backends.Remover
	backends.Resident
	backends.Rester
	io.Closer
}

// placed is what their instances can.
type placed interface {
	backends.Instance
	backends.Keyed
	backends.Fresh
	backends.Halter
	backends.Labeler
}

// cutting has a driver's connections known, and keeps its other abilities but for pools, snapshots and audits.
func cutting(d backends.Driver) (backends.Driver, *cuts, error) {
	f, ok := d.(full)
	if !ok {
		return nil, nil, unsupported("cut connections", fmt.Sprintf("%T lacks what the other drivers have", d))
	}
	c := &cuts{open: map[*cuttable]sandbox.ID{}}
	return cutDriver{f, c}, c, nil
}

type cutDriver struct {
	full
	cuts *cuts
}

func (d cutDriver) Start(ctx context.Context, spec sandbox.Spec) (backends.Instance, error) {
	i, err := d.full.Start(ctx, spec)
	return d.wrap(i, spec.ID, err)
}

func (d cutDriver) Attach(ctx context.Context, id sandbox.ID) (backends.Instance, error) {
	i, err := d.full.Attach(ctx, id)
	return d.wrap(i, id, err)
}

func (d cutDriver) wrap(i backends.Instance, id sandbox.ID, err error) (backends.Instance, error) {
	if err != nil {
		return nil, err
	}
	p, ok := i.(placed)
	if !ok {
		return i, nil // its connections are not known, and so none is cut
	}
	return cutInstance{p, id, d.cuts}, nil
}

type cutInstance struct {
	placed
	id   sandbox.ID
	cuts *cuts
}

func (i cutInstance) Dial(ctx context.Context) (net.Conn, error) {
	return i.cuts.dial(ctx, i.placed, i.id)
}
