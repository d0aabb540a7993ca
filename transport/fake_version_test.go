package transport_test

import (
	"cmp"
	"fmt"
	"net"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// versioned is a connection at which every answer's head says which versions the fake speaks.
type versioned struct {
	net.Conn
	head string
}

func versions(c net.Conn) string {
	if v, ok := c.(versioned); ok {
		return v.head
	}
	return ""
}

func (f *fake) versioned(c net.Conn, r *fasthttp.Request) net.Conn {
	if f.flip {
		v := 3 - versionOf(r)
		f.become(v, v)
	}
	newest, oldest := f.speaks()
	head := fmt.Sprintf("%s: %d\r\n", wire.HeaderVersion, newest)
	if newest > 1 {
		head += fmt.Sprintf("%s: %d\r\n", wire.HeaderOldest, oldest)
	}
	return versioned{c, head}
}

func (f *fake) speaks() (newest, oldest int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return cmp.Or(f.newest, wire.Version), cmp.Or(f.oldest, 1)
}

// understands refuses what is in a version that the fake does not speak.
func (f *fake) understands(r *fasthttp.Request) error {
	newest, oldest := f.speaks()
	if v := versionOf(r); v > newest || v < oldest {
		return &sandbox.Error{Code: sandbox.Unsupported, Op: "server", Err: fmt.Errorf("version \"%d\" of the native form: there are %d to %d", v, oldest, newest)}
	}
	return nil
}

// versionOf is the version that a request is in; 1 if it does not say.
func versionOf(r *fasthttp.Request) int {
	n, err := strconv.Atoi(string(r.Header.Peek(wire.HeaderVersion)))
	if err != nil {
		return 1
	}
	return n
}
