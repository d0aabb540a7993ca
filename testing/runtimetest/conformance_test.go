package runtimetest_test

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"net"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/runtimetest"
	"github.com/sandtree/sandtree/transport"
)

// TestMain runs many cases at a time: most of them wait, for soft timeouts and programs, and hardly compute.
func TestMain(m *testing.M) {
	flag.Parse()
	if p := flag.Lookup("test.parallel"); p.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = p.Value.Set("8") // it is a number
	}
	m.Run()
}

// The OpenHands form, started by the command line of OpenHands' launchers and driven by a client that is like theirs.
func TestConformanceOfTheOpenHandsForm(t *testing.T) {
	runtimetest.Conform(t, runtimetest.Place{Open: func(t *testing.T, w runtimetest.Want) runtimetest.Opened {
		return (&machine{want: w, openHands: true}).open(t)
	}})
}

// The native form, on a Unix socket.
func TestConformanceOfTheNativeForm(t *testing.T) {
	runtimetest.Conform(t, runtimetest.Place{Open: func(t *testing.T, w runtimetest.Want) runtimetest.Opened {
		return (&machine{want: w}).open(t)
	}})
}

// Where the tests run as root, sandboxd as an ordinary user is another place.
func TestConformanceAsAnOrdinaryUser(t *testing.T) {
	need.Root(t)
	need.Thorough(t)
	runtimetest.Conform(t, runtimetest.Place{Open: func(t *testing.T, w runtimetest.Want) runtimetest.Opened {
		return (&machine{want: w, openHands: true, ordinary: true}).open(t)
	}})
}

// A root directory that holds a static busybox and sandboxd and nothing else: no bash, no python, no git, no /proc.
func TestConformanceInAMinimalRoot(t *testing.T) {
	need.Root(t)
	need.Thorough(t)
	busybox := need.Tool(t, "busybox")
	runtimetest.Conform(t, runtimetest.Place{Open: func(t *testing.T, w runtimetest.Want) runtimetest.Opened {
		return (&machine{want: w, openHands: true, busybox: busybox}).open(t)
	}})
}

// open starts the machine and connects to it.
func (m *machine) open(t *testing.T) runtimetest.Opened {
	t.Helper()
	m.start(t)
	o := runtimetest.Opened{Viewer: m.openHands && !m.ordinary && ownsViewerFile(), Soft: m.want.Soft, Dial: m.dial, Key: m.key, Restart: func() { m.stop(t); m.run(t) }}
	if m.openHands {
		c := runtimetest.NewClient(m.dial, m.key)
		c.Dir = m.work
		t.Cleanup(c.HTTP.CloseIdleConnections)
		o.Runtime = c
		restart := o.Restart
		o.Restart = func() { c.HTTP.CloseIdleConnections(); restart() }
		return o
	}
	c, err := transport.New(m.dial, transport.Config{Key: m.key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	o.Runtime = c
	return o
}

// ownsViewerFile says whether the address of a file viewer can be written down: it stands in one file for the whole machine,
// which another user may have made.
func ownsViewerFile() bool {
	const name = "/tmp/oh-server-url"
	if f, err := os.OpenFile(name, os.O_WRONLY, 0); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err == nil && f.Close() == nil
	}
	f, err := os.CreateTemp("/tmp", "viewer-")
	return err == nil && f.Close() == nil && os.Remove(f.Name()) == nil
}

func (m *machine) dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, m.network, m.address)
}

// The server says that it is not ready until it is, and takes OpenHands' arguments in their order and flags of other
// versions.
func TestLauncher(t *testing.T) {
	need.Tool(t, "bash")
	m := &machine{openHands: true, want: runtimetest.Want{Jupyter: true}, more: []string{"--a-flag-of-next-year", "--another=1"}}
	o := m.open(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	seen, err := o.Runtime.Do(ctx, sandbox.Action{Args: sandbox.RunArgs{Command: "pwd"}}, nil)
	if err != nil || seen.Content != m.work {
		t.Errorf("%q, %v; want %s", seen.Content, err, m.work)
	}
	if _, err := os.Stat(m.work); err != nil {
		t.Error(err)
	}
}
