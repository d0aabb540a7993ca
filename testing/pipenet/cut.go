package pipenet

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
)

// A DialFunc opens a connection.
type DialFunc = func(ctx context.Context) (net.Conn, error)

// ErrCut is what the side that did the cutting sees.
var ErrCut = errors.New("connection cut by the test")

// Cutting wraps a dialer: each of its connections is cut after a random number of bytes in one direction, anywhere in
// a request, an answer, a frame. The numbers are exponentially distributed with the given mean, from a source with the
// given seed. A mean of 0 or less cuts nothing.
func Cutting(dial DialFunc, seed uint64, mean int) DialFunc {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, seed))
	budget := func() int {
		mu.Lock()
		defer mu.Unlock()
		return int(random.ExpFloat64() * float64(mean))
	}
	return func(ctx context.Context) (net.Conn, error) {
		c, err := dial(ctx)
		if err != nil || mean <= 0 {
			return c, err
		}
		return &cutting{Conn: c, in: budget(), out: budget()}, nil
	}
}

type cutting struct {
	net.Conn
	in, out int // bytes left until the cut; each is touched by the one reader or the one writer
}

func (c *cutting) Read(p []byte) (int, error) {
	if c.in <= 0 {
		c.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.Conn.Read(p[:min(len(p), c.in)])
	c.in -= n
	return n, err
}

func (c *cutting) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p[:min(len(p), c.out)])
	if c.out -= n; err == nil && n < len(p) {
		c.Conn.Close()
		err = ErrCut
	}
	return n, err
}
