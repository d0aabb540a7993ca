package gvisor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/escape"
	"github.com/sandtree/sandtree/testing/need"
)

// TestEscape tries to get out. What it asks of the kernel, it asks of gVisor's.
func TestEscape(t *testing.T) {
	need.Tool(t, "python3", "pkill", "timeout")
	dir := t.TempDir()
	d := open(t, dir)
	var secrets []string
	for _, name := range []string{"", "gvisor", "gvisor/neighbour/key", "gvisor/prisoner/key", "gvisor/prisoner/label.json", "gvisor/prisoner/log",
		"gvisor/neighbour/workspace", "gvisor/neighbour/box"} {
		secrets = append(secrets, filepath.Join(dir, name))
	}
	escape.Run(t, d, escape.Options{Secrets: secrets, Memory: true, Server: func(id sandbox.ID) int { return companion(t, dir, id) },
		Tolerate: tolerated,
		Leave:    []string{"SIGKILL to process 1"}}) // see TestSuicide
}

// tolerated are what a program may do and is not out by it: it has a kernel of its own, of which it may ask what it likes.
var tolerated = []string{
	"a thread of process 1 without seccomp",
	"the descriptors of process 1",                            // their numbers; what they are is not told
	"privileges by a setuid program",                          // gVisor gives none by it, and its root does not say so
	"to be rather kept than others when memory ends",          // a number in gVisor, and nothing to the machine
	"a user namespace by clone", "a user namespace by clone3", // of gVisor's
	"devices of the machine",                           // which gVisor plays
	"to type on a terminal", "the same with more bits", // it has no such call, which is another error than is asked for
	// These reach gVisor, which refuses them.
	"system call perf_event_open", "system call add_key", "system call request_key", "system call syslog", "system call mbind",
	"system call open_by_handle_at", "system call personality with READ_IMPLIES_EXEC",
}

// companion gives the number of a sandbox's companion on this machine.
func companion(t testing.TB, stateDir string, id sandbox.ID) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(stateDir, "gvisor", string(id), "pid.json"))
	var identity struct{ PID int }
	if err == nil {
		err = json.Unmarshal(b, &identity)
	}
	if err != nil {
		t.Fatal(err)
	}
	return identity.PID
}

// TestSuicide has a program kill its own server, which gVisor does not keep it from. It ends its own sandbox by that, and is
// seen to.
func TestSuicide(t *testing.T) {
	b := backends.Open("gvisor", open(t, t.TempDir()), backends.Config{})
	ends(t, b, "x", "neighbour")
	s, neighbour := began(t, b, sandbox.Spec{ID: "x"}), began(t, b, sandbox.Spec{ID: "neighbour"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var doing sync.WaitGroup
	doing.Go(func() { s.Do(ctx, sandbox.Action{Args: sandbox.RunArgs{Command: "kill -9 1"}}, nil) }) // whose answer cannot come
	defer doing.Wait()
	defer cancel()
	if exit, err := s.Wait(t.Context()); err != nil || exit.Signal != 9 || exit.Memory {
		t.Errorf("it ended with %+v, %v", exit, err)
	}
	if got := run(t, neighbour, "echo alive"); got != "alive" {
		t.Errorf("the neighbour says %q", got)
	}
}

// TestSocketReplaced puts something else in the place of the server's socket: what the controller reaches is nothing, and the
// next start has a socket again.
func TestSocketReplaced(t *testing.T) {
	dir := t.TempDir()
	outside, err := net.Listen("unix", filepath.Join(dir, "outside"))
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	b := backends.Open("gvisor", open(t, dir), backends.Config{})
	ends(t, b, "x")
	for _, replace := range []string{"ln -s " + filepath.Join(dir, "outside") + " sock", "mkdir -p sock/deep"} {
		s := began(t, b, sandbox.Spec{ID: "x"})
		run(t, s, "cd /.sandtree/box && rm sock && "+replace)
		if conn, err := s.Instance().Dial(t.Context()); sandbox.CodeOf(err) != sandbox.Unavailable {
			t.Errorf("%s: connected to %v, %v", replace, conn, err)
		}
		if err := s.Halt(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := run(t, began(t, b, sandbox.Spec{ID: "x"}), "echo again"); got != "again" {
			t.Errorf("%s: afterwards it says %q", replace, got)
		}
	}
}

// TestNobody looks at all that a sandbox is made of from outside: every thread of it is nobody on the machine and has a filter, and the companion,
// which waits in the machine's own user namespace, has no capability.
func TestNobody(t *testing.T) {
	s, pid := begun(t, sandbox.Limits{})
	run(t, s, "sleep 100022 & true")
	mine, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	threads, _ := filepath.Glob("/proc/[0-9]*/task/[0-9]*")
	seen := 0
	for _, dir := range threads {
		if group, _ := os.ReadFile(filepath.Join(dir, "cgroup")); string(group) != string(mine) || strings.Count(string(mine), "/x.") == 0 {
			continue
		}
		status, err := os.ReadFile(filepath.Join(dir, "status"))
		if err != nil {
			continue // it has ended
		}
		seen++
		for _, field := range []string{"Uid:", "Gid:"} {
			for _, id := range strings.Fields(value(status, field)) {
				if n, err := strconv.Atoi(id); err != nil || n < 0x70000000 {
					t.Errorf("%s: %s is %s", dir, field, id)
				}
			}
		}
		if got := value(status, "Seccomp:"); got != "2" {
			t.Errorf("%s: it has no filter for system calls: %q", dir, got)
		}
		ours := strings.HasPrefix(dir, fmt.Sprintf("/proc/%d/", pid))
		if caps := value(status, "CapEff:") + value(status, "CapPrm:"); ours && strings.Trim(caps, "0") != "" {
			t.Errorf("%s: a thread of the companion has capabilities %s", dir, caps)
		}
	}
	if seen < 10 {
		t.Errorf("there are %d threads, which cannot be all", seen)
	}
}

func value(status []byte, field string) string {
	_, rest, _ := strings.Cut(string(status), "\n"+field)
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}
