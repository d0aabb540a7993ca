package transport

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// Port opens a connection to a port in the sandbox, as net.Dial would there; whatever protocol the program speaks. ctx
// bounds the opening only. The connection does not count as one of Config.MaxConns, and ends with the client. Codes:
// Invalid, Unavailable (nothing listens there), Denied, Unsupported, Lost, Canceled.
func (c *Client) Port(ctx context.Context, port int) (net.Conn, error) {
	if port < 1 || port > 65535 {
		return nil, c.error("Port", &failure{code: sandbox.Invalid, err: fmt.Errorf("%d is no port", port)})
	}
	r := &request{method: "GET", target: wire.PathPorts + "/" + strconv.Itoa(port), upgrade: wire.UpgradePort, quiet: c.config.Stall,
		control: true, since: native}
	k, f := c.openEither(ctx, r)
	if f != nil {
		return nil, c.error("Port", f)
	}
	if !k.unwatch() {
		c.drop(k)
		return nil, c.error("Port", canceled(ctx, nil))
	}
	k.SetDeadline(time.Time{})
	early, _ := k.in.Peek(k.in.Buffered()) // what the program said at once
	return &portConn{Conn: k.Conn, c: c, k: k, in: io.MultiReader(bytes.NewReader(early), k.Conn)}, nil
}

// A portConn is a connection to a port, through that to the server.
type portConn struct {
	net.Conn
	c    *Client
	k    *conn
	in   io.Reader
	once sync.Once
}

func (p *portConn) Read(b []byte) (int, error) { return p.in.Read(b) }

// CloseWrite tells the program that nothing more will come.
func (p *portConn) CloseWrite() error {
	if half, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return p.Close()
}

func (p *portConn) Close() error {
	p.once.Do(func() { p.c.drop(p.k) })
	return nil
}
