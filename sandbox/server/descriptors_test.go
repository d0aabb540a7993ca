package server_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// More connections than a process may have descriptors, from anybody who reaches the socket, do not end the server.
func TestOutOfDescriptors(t *testing.T) {
	need.Tool(t, "bash")
	b := sandboxdtest.Start(t)
	few := unix.Rlimit{Cur: 40, Max: 40}
	if err := unix.Prlimit(b.PID(), unix.RLIMIT_NOFILE, &few, nil); err != nil {
		t.Skip(err)
	}
	var conns []net.Conn
	for range 60 { // those that are not accepted wait in the kernel
		c, err := b.Dial(t.Context())
		if err != nil {
			break
		}
		conns = append(conns, c)
	}
	select {
	case <-b.Ended():
		t.Fatal("the server has ended")
	case <-time.After(300 * time.Millisecond): // nothing tells that it goes on
	}
	for _, c := range conns {
		c.Close()
	}
	if got, err := b.Run(t.Context(), "echo $((6*7))"); err != nil || !strings.Contains(got, "42") {
		t.Errorf("afterwards: %s, %v", got, err)
	}
}
