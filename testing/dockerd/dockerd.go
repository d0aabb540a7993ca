// Package dockerd gives tests a Docker engine: the one that answers on this machine, or else a private one that is started
// for this test binary and leaves nothing behind.
//
// A private engine has its own directories, socket, bridge and control groups, and changes no firewall rule, so that it
// can be beside another. Root and the program dockerd (Debian's docker.io) are all it needs. Images are made from what is at
// hand; nothing is pulled.
package dockerd

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"github.com/sandtree/sandtree/testing/need"
)

// usual is where an engine listens.
const usual = "/var/run/docker.sock"

// private is this test binary's own engine, once a test has asked for one.
var private struct {
	mu      sync.Mutex
	engine  *Engine
	failure error
}

// Main runs the tests of a package, ends the private engine, if one was started, and removes what was put into another. It
// is for TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(dockerd.Main(m)) }
func Main(m *testing.M) int {
	code := m.Run()
	if err := removeImages(); err != nil {
		fmt.Fprintln(os.Stderr, "the tests' images:", err)
		code = max(code, 1)
	}
	private.mu.Lock()
	defer private.mu.Unlock()
	if private.engine != nil {
		if err := private.engine.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "the private Docker engine:", err)
			code = max(code, 1)
		}
	}
	return code
}

// Host gives the address of an engine, as DOCKER_HOST has it. The test is skipped where there is none and none can be
// started, and fails where CI has promised one. The package's TestMain must call Main.
func Host(t testing.TB) string {
	t.Helper()
	if host := answering(); host != "" {
		return host
	}
	return Private(t).Host()
}

// Private gives this test binary's own engine, which a test may restart, also where another answers.
func Private(t testing.TB) *Engine {
	t.Helper()
	private.mu.Lock()
	defer private.mu.Unlock()
	if private.engine == nil && private.failure == nil {
		if _, err := exec.LookPath("dockerd"); err != nil || os.Geteuid() != 0 {
			need.Docker(t) // says what is missing
			t.Skip("needs an engine of its own: root and dockerd")
		}
		private.engine, private.failure = start()
	}
	if private.failure != nil {
		if need.Promised("docker") {
			t.Fatal(private.failure)
		}
		t.Skip(private.failure)
	}
	return private.engine
}

// Client is a client of an engine, closed when the test ends.
func Client(t testing.TB, host string) *client.Client {
	t.Helper()
	c, err := client.NewClientWithOpts(client.WithHost(host), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// answering is the address of the engine that answers on this machine, "" if none does.
func answering() string {
	path := usual
	if host, ok := strings.CutPrefix(os.Getenv("DOCKER_HOST"), "unix://"); ok {
		path = host
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return ""
	}
	conn.Close()
	return "unix://" + path
}
