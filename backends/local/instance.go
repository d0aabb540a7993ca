package local

import (
	"context"
	"net"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
)

// instance is one sandbox and the server that it had when the instance was got.
type instance struct {
	*homes.Instance[label]
	d *Driver
}

func (d *Driver) instance(i *homes.Instance[label]) backends.Instance { return &instance{i, d} }

// dial connects to the server's socket.
func dial(ctx context.Context, _ homes.Home, l *label) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", l.Socket)
}
