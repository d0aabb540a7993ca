package jail

import (
	"context"
	"net"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
)

// instance is one sandbox and the server that it had when the instance was got.
type instance struct {
	homes.Confined[label]
	d *Driver
}

var _ backends.Attentive = (*instance)(nil)

func (d *Driver) instance(i *homes.Instance[label]) backends.Instance {
	return &instance{homes.Confined[label]{Instance: i}, d}
}

// dial connects to the server's socket, which nothing in the jail can replace.
func dial(ctx context.Context, h homes.Home, _ *label) (net.Conn, error) {
	path, done, err := home{h}.socket(serverSocket)
	if err != nil {
		return nil, err
	}
	defer done()
	return (&net.Dialer{}).DialContext(ctx, "unix", path)
}
