package main

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/pipenet"
)

// driver is what the drivers of this project's own backends can.
type driver interface {
	backends.Driver
	backends.Limiter
	backends.Remover
	backends.Resident
	backends.Rester
	io.Closer
}

// cutter is a driver with connections that are cut at random. It keeps the driver's and the instances' other abilities.
type cutter struct {
	driver
	seed uint64
	mean int
}

func (c cutter) Start(ctx context.Context, spec sandbox.Spec) (backends.Instance, error) {
	return c.cut(c.driver.Start(ctx, spec))
}

func (c cutter) Attach(ctx context.Context, id sandbox.ID) (backends.Instance, error) {
	return c.cut(c.driver.Attach(ctx, id))
}

func (c cutter) cut(i backends.Instance, err error) (backends.Instance, error) {
	if err != nil {
		return nil, err
	}
	c.seed++
	cut := instance{i.(placed), pipenet.Cutting(i.Dial, c.seed+uint64(time.Now().UnixNano()), c.mean)}
	if p, ok := i.(backends.Pauser); ok {
		return pausable{cut, p}, nil
	}
	return cut, nil
}

// placed is what the instances of all of them can.
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

type pausable struct {
	instance
	backends.Pauser
}
