package child

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
)

// start starts a shell script whose output is read from the pipe.
func start(t *testing.T, c Config, script string) (*Child, *os.File) {
	t.Helper()
	leak.Check(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	child, err := Start(c, Command{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: os.Environ(), Files: []*os.File{null(t), w, w}})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := child.Close(); err != nil {
			t.Error(err)
		}
	})
	return child, r
}

func null(t *testing.T) *os.File {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestExit(t *testing.T) {
	child, out := start(t, Config{}, "pwd; exit 3")
	if b, err := io.ReadAll(out); err != nil || string(b) != "/\n" {
		t.Errorf("%q, %v", b, err)
	}
	if e := child.Exit(); e.Code != 3 || e.Signal != 0 || e.Usage.MaxRSS < 100<<10 {
		t.Errorf("%+v", e)
	}
	if err := child.Signal(syscall.SIGTERM, true); !errors.Is(err, syscall.ESRCH) {
		t.Error(err)
	}
}

func TestSignal(t *testing.T) {
	child, _ := start(t, Config{}, "sleep 1000")
	if err := child.Signal(syscall.SIGTERM, true); err != nil {
		t.Fatal(err)
	}
	if e := child.Exit(); e.Code != -1 || e.Signal != syscall.SIGTERM {
		t.Errorf("%+v", e)
	}
}

// What has left the session is ended with the cgroup, or as a descendant.
func TestCloseLeavesNothing(t *testing.T) {
	t.Run("session", func(t *testing.T) { closeLeavesNothing(t, Config{}) })
	t.Run("cgroup", func(t *testing.T) { closeLeavesNothing(t, Config{Cgroup: need.Cgroup(t)}) })
}

func closeLeavesNothing(t *testing.T, c Config) {
	child, out := start(t, c, "setsid sleep 1000 & sleep 1000 & echo up; wait")
	buf := make([]byte, 16)
	if n, err := out.Read(buf); err != nil || strings.TrimSpace(string(buf[:n])) != "up" {
		t.Fatal(err)
	}
	pids, err := child.PIDs()
	if err != nil || len(pids) < 2 {
		t.Fatalf("%v, %v", pids, err)
	}
	if err := child.Close(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if !ended(pid) { // a zombie whose parent is process 1 may be there for a moment
			p, err := reap.Stat(pid)
			t.Errorf("%+v is left, %v", p, err)
		}
	}
}

func TestNoSuchProgram(t *testing.T) {
	_, err := Start(Config{Cgroup: need.Cgroup(t)}, Command{Path: "/no/such", Args: []string{"such"}})
	if !errors.Is(err, syscall.ENOENT) {
		t.Error(err)
	}
}

func TestProcesses(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "go")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	_, out := start(t, Config{Processes: 77}, "read x < '"+fifo+"'; grep processes /proc/self/limits")
	if err := os.WriteFile(fifo, []byte("\n"), 0); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(out); err != nil || !strings.Contains(string(b), "77") {
		t.Errorf("%s, %v", b, err)
	}
}

// Programs take the first of several variables of a name, and who adds one means it.
func TestTheLastVariableCounts(t *testing.T) {
	leak.Check(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	child, err := Start(Config{}, Command{Path: "/bin/sh", Args: []string{"sh", "-c", `tr '\0' '\n' < /proc/$$/environ`},
		Env: []string{"A=1", "PATH=" + os.Getenv("PATH"), "A=2", "B=3"}, Files: []*os.File{null(t), w, w}})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer child.Close()
	if b, err := io.ReadAll(r); err != nil || strings.Contains(string(b), "A=1") || !strings.Contains(string(b), "A=2\nB=3\n") {
		t.Errorf("%q, %v", b, err)
	}
}
