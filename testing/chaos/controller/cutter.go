package main

import (
	"context"
	"net"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/local"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/pipenet"
)

// cutter is the local driver with connections that are cut at random. It keeps the driver's and the instances' other
// abilities.
type cutter struct {
	*local.Driver
	seed uint64
	mean int
}

func (c cutter) Start(ctx context.Context, spec sandbox.Spec) (backends.Instance, error) {
	return c.cut(c.Driver.Start(ctx, spec))
}

func (c cutter) Attach(ctx context.Context, id sandbox.ID) (backends.Instance, error) {
	return c.cut(c.Driver.Attach(ctx, id))
}

func (c cutter) cut(i backends.Instance, err error) (backends.Instance, error) {
	if err != nil {
		return nil, err
	}
	c.seed++
	return instance{i.(placed), pipenet.Cutting(i.Dial, c.seed+uint64(time.Now().UnixNano()), c.mean)}, nil
}

// placed is what the local driver's instances can.
type placed interface {
	backends.Instance
	backends.Keyed
	backends.Fresh
	backends.Halter
	backends.Labeler
}

type instance struct {
	placed
	dial pipenet.DialFunc
}

func (i instance) Dial(ctx context.Context) (net.Conn, error) { return i.dial(ctx) }
