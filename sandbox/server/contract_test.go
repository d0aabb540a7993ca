package server_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/testing/runtimetest"
	"github.com/sandtree/sandtree/transport"
)

// runtime is a server in this process and the client that belongs to it.
func runtime(t *testing.T, change func(*server.Config)) sandbox.Runtime {
	t.Helper()
	b := start(t, change)
	c, err := transport.New(func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", b.socket)
	}, transport.Config{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// The contract of every runtime holds for client and server together.
func TestContract(t *testing.T) {
	runtimetest.Run(t, func(t *testing.T) sandbox.Runtime {
		return runtime(t, func(c *server.Config) { c.StateDir = t.TempDir() })
	})
}

func TestSoftTimeout(t *testing.T) {
	const noChange = time.Second
	runtimetest.Soft(t, func(t *testing.T) sandbox.Runtime {
		return runtime(t, func(c *server.Config) { c.NoChange = noChange })
	}, noChange)
}
