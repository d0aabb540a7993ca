// Package escape is a suite that tries to get out of the sandboxes of a driver: by what a program in one may ask of the
// kernel (the program probe, which runs inside), by using up what the machine has, and by files that lead elsewhere.
//
// A driver that isolates calls Run from its own test. One that does not, as backends/local, has nothing to pass it for.
package escape

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// Options say what there is to get at.
type Options struct {
	Secrets []string // files and directories of the driver's own, which no sandbox may read: homes, keys, sockets
	Memory  bool     // the driver bounds memory
	Disk    bool     // and disk
	// Server gives the number that this machine has for a sandbox's server; nil if it has none.
	Server   func(id sandbox.ID) int
	Tolerate []string // names of probes that get through in this tier, as its documentation says
	// Leave names probes that are not tried: by them a sandbox ends itself, and the others would not be.
	Leave []string
}

// probes are at least this many, so that a program which says nothing does not pass.
const probes = 100

// Run runs the suite against a driver.
func Run(t *testing.T, d backends.Driver, o Options) {
	b := backends.Open("escape", d, backends.Config{})
	t.Cleanup(func() { b.Close() })
	cell := open(t, b, "prisoner", sandbox.Limits{Processes: 200})
	neighbour := open(t, b, "neighbour", sandbox.Limits{})
	neighbour.run("echo safe >$HOME/kept; sleep 100021 & echo begun")
	t.Run("Probes", func(t *testing.T) { testProbes(t, cell, o) })
	t.Run("Links", func(t *testing.T) { testLinks(t, cell) })
	for _, bomb := range bombs(o) {
		t.Run(bomb.name, func(t *testing.T) { testBomb(t, b, neighbour, bomb) })
	}
	if got := neighbour.run("cat $HOME/kept; jobs -r | wc -l"); !strings.HasPrefix(got, "safe") || !strings.HasSuffix(got, "1") {
		t.Errorf("in the neighbour's is %q", got)
	}
}

// patience is how long anything may take on a machine that is being bombed.
const patience = 2 * time.Minute

// A cell is a sandbox of the suite.
type cell struct {
	t testing.TB
	*backends.Sandbox
}

func open(t testing.TB, b *backends.Backend, id sandbox.ID, l sandbox.Limits) cell {
	t.Helper()
	s, err := b.Start(t.Context(), sandbox.Spec{ID: id, Owner: "escape", Limits: l})
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Stop(ctx, 0); err != nil {
			t.Errorf("Stop: %v", err)
		}
		s.Close()
	})
	return cell{t, s}
}

// run runs a command and gives what it printed.
func (c cell) run(command string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	o, err := c.Do(ctx, sandbox.Action{Args: sandbox.RunArgs{Command: command, Blocking: true}}, nil)
	if err != nil {
		c.t.Fatalf("%s: %v", command, err)
	}
	return strings.TrimSpace(o.Content)
}

// put writes a file in the workspace.
func (c cell) put(name string, content []byte) {
	c.t.Helper()
	if err := c.Put(c.t.Context(), name, strings.NewReader(string(content))); err != nil {
		c.t.Fatalf("Put %s: %v", name, err)
	}
}

// testProbes runs the program inside.
func testProbes(t *testing.T, c cell, o Options) {
	c.t = t
	program, err := os.ReadFile(build(t))
	if err != nil {
		t.Fatal(err)
	}
	world, err := json.Marshal(outside(t, o))
	if err != nil {
		t.Fatal(err)
	}
	c.put("probe", program)
	c.put("world", world)
	out := c.run(`chmod +x probe; ./probe "$(cat world)"; rm probe world`)
	tried := 0
	for line := range strings.Lines(out) {
		f := strings.SplitN(strings.TrimSpace(line), " | ", 3)
		if len(f) != 3 {
			t.Logf("it says: %s", strings.TrimSpace(line))
			continue
		}
		tried++
		if f[1] != "contained" && !slices.Contains(o.Tolerate, f[0]) {
			t.Errorf("%s: %s", f[0], f[1])
		} else {
			t.Logf("%-50s %s: %s", f[0], f[1], f[2])
		}
	}
	if tried < probes {
		t.Errorf("%d ways out were tried, want %d:\n%s", tried, probes, out)
	}
}

// host is what probe is told; see there.
type host struct {
	Controller, Neighbour             int
	Sockets, Secrets, Writable, Leave []string
	Abstract, Address                 string
}

// outside makes what would be reached, were it not for the sandbox: all of it is there for everybody on this machine.
func outside(t *testing.T, o Options) host {
	t.Helper()
	dir, err := os.MkdirTemp("", "out-") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	secret, socket := filepath.Join(dir, "secret"), filepath.Join(dir, "socket")
	if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	h := host{Controller: os.Getpid(), Leave: o.Leave, Abstract: filepath.Base(dir), Secrets: append([]string{secret}, o.Secrets...), Writable: []string{dir},
		Sockets: []string{socket, "/var/run/docker.sock", "/run/dbus/system_bus_socket", "/run/containerd/containerd.sock"}}
	if o.Server != nil {
		h.Neighbour = o.Server("neighbour")
	}
	h.Address = listen(t, "tcp", "127.0.0.1:0")
	listen(t, "unix", "@"+h.Abstract)
	listen(t, "unix", socket)
	if err := os.Chmod(socket, 0o777); err != nil {
		t.Fatal(err)
	}
	return h
}

// listen accepts connections until the test ends.
func listen(t *testing.T, network, address string) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("escaped"))
			c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

// build gives the program. Whoever runs tests as a user that has no Go says where it is by SANDTREE_TEST_PROBE.
func build(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("SANDTREE_TEST_PROBE"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "probe")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "github.com/sandtree/sandtree/testing/escape/probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the probe: %v\n%s", err, out)
	}
	return path
}
