package shell

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/child"
	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
)

// alive says whether pid runs; a zombie does not.
func alive(pid int) bool {
	all, err := reap.List()
	return err == nil && slices.ContainsFunc(all, func(p reap.Proc) bool { return p.PID == pid })
}

func pids(t *testing.T, text string) (pids []int) {
	t.Helper()
	for _, f := range strings.Fields(text) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		pids = append(pids, pid)
	}
	return pids
}

func TestCloseKillsAll(t *testing.T) {
	s := start(t, Config{NoChange: 100 * time.Millisecond})
	run(t, s, "(trap '' HUP INT TERM; sleep 1000) & echo $! >a", 0)
	run(t, s, "nohup sleep 1000 >/dev/null 2>&1 & echo $! >b", 0)
	run(t, s, "setsid -w sh -c 'echo $$ >c; exec sleep 1000' & until [ -s c ]; do :; done", 0)
	run(t, s, "set +m; setsid sleep 1000 & set -m; echo $! >f", 0)
	run(t, s, "sh -c 'sleep 1000 & echo $!' >d", 0)
	run(t, s, "(sleep 1000; sleep 1000) | cat & echo $! >e; disown", 0)
	do(t, s, sandbox.RunArgs{Command: "sleep 1000"}, 0)
	var all []int
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		b, err := os.ReadFile(filepath.Join(s.Cwd(), name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, pids(t, string(b))...)
	}
	all = append(all, s.Pid(), s.sh.foreground())
	for _, pid := range all {
		if !alive(pid) {
			t.Errorf("process %d is not there", pid)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range all {
		if alive(pid) {
			t.Errorf("process %d is left", pid)
		}
	}
	if s.Alive() || s.Close() != nil {
		t.Error("closed twice, or alive")
	}
	_, err := s.Run(t.Context(), sandbox.RunArgs{Command: "true"}, 0, nil)
	if sandbox.CodeOf(err) != sandbox.Conflict {
		t.Errorf("after Close: %v", err)
	}
}

// Close ends what shells that have died left behind.
func TestCloseKillsOrphansOfDeadShells(t *testing.T) {
	s := start(t, Config{})
	run(t, s, "nohup sleep 1000 >/dev/null 2>&1 & echo $! >pid", 0)
	dir := s.Cwd()
	run(t, s, "exit", 0)
	b, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid := pids(t, string(b))[0]
	if !alive(pid) {
		t.Fatal("it did not outlive its shell")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if alive(pid) {
		t.Error("it outlived the session")
	}
}

func TestCloseWhileRunning(t *testing.T) {
	s := start(t, Config{})
	var wg sync.WaitGroup
	began := make(chan struct{})
	wg.Go(func() {
		var once sync.Once
		o, err := s.Run(t.Context(), sandbox.RunArgs{Command: "echo go; sleep 1000"}, 0, func(int64, []byte) { once.Do(func() { close(began) }) })
		if err != nil || o.Kind() != sandbox.KindError || o.Content != "Bash session was likely interrupted..." {
			t.Errorf("%+v %v", o, err)
		}
	})
	<-began
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

func TestCanceled(t *testing.T) {
	s := start(t, Config{})
	ctx, cancel := contextAfter(t, 50*time.Millisecond)
	defer cancel()
	o, err := s.Run(ctx, sandbox.RunArgs{Command: "read x; echo $x"}, 0, nil)
	if err != nil || o.Content != "Bash session was likely interrupted..." || o.Kind() != sandbox.KindError {
		t.Errorf("%+v %v", o, err)
	}
	if o := input(t, s, "still"); o.content != "still" {
		t.Errorf("%+v", o)
	}
}

func TestInterrupt(t *testing.T) {
	s := start(t, Config{NoChange: 200 * time.Millisecond})
	if err := s.Interrupt(); err != nil { // nothing runs
		t.Error(err)
	}
	for _, command := range []string{"sleep 1000; echo no", "while :; do :; done", "stty -isig raw; sleep 1000"} {
		do(t, s, sandbox.RunArgs{Command: command}, 0)
		if err := s.Interrupt(); err != nil {
			t.Error(err)
		}
		if o := do(t, s, sandbox.RunArgs{Blocking: true}, time.Minute); o.exit != 130 || o.content != "" {
			t.Errorf("%q: %+v", command, o)
		}
		run(t, s, "true", 0)
	}
}

func TestForkBomb(t *testing.T) {
	need.Root(t)
	// It forks until nothing is left, and stays.
	bomb := `bomb() { bomb | bomb & sleep 1000; }; bomb 2>/dev/null`
	t.Run("cgroup", func(t *testing.T) {
		dir := pidsCgroup(t, 60)
		s := start(t, Config{Cgroup: dir, NoChange: 300 * time.Millisecond})
		explode(t, s, bomb)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if left, err := reap.InCgroup(dir)(); err != nil || len(left) > 0 {
			t.Errorf("processes left: %v %v", left, err)
		}
		again := start(t, Config{Cgroup: dir})
		run(t, again, "true", 0)
	})
	t.Run("rlimit", func(t *testing.T) {
		// A user of its own, for the limit counts all processes of a user, and does not count root's.
		uid := 50000 + rand.Uint32N(1e6)
		home := t.TempDir()
		for d := home; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		c := Config{
			Processes: 60, NoChange: 300 * time.Millisecond, Dir: "/", Env: environ(home),
			User: &syscall.Credential{Uid: uid, Gid: uid, NoSetGroups: true},
		}
		s := start(t, c)
		if o := run(t, s, "ulimit -u; id -u", 0); o.content != fmt.Sprintf("60\n%d", uid) {
			t.Errorf("%+v", o)
		}
		explode(t, s, bomb)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again := start(t, c)
		run(t, again, "true", 0)
	})
}

// explode runs a fork bomb for a moment.
func explode(t *testing.T, s *Session, bomb string) {
	t.Helper()
	o := do(t, s, sandbox.RunArgs{Command: bomb}, time.Second)
	t.Logf("exit %d, %.100q", o.exit, o.content)
	if o = do(t, s, sandbox.RunArgs{Command: "echo here"}, time.Second); o.exit == 0 && o.content != "here" {
		t.Errorf("%+v", o)
	}
}

// pidsCgroup makes a cgroup that holds at most limit processes.
func pidsCgroup(t *testing.T, limit int) string {
	t.Helper()
	root := "/sys/fs/cgroup/pids"
	if _, err := os.Stat(root); err != nil {
		root = "/sys/fs/cgroup"
	}
	dir := filepath.Join(root, "shell-test-"+sandbox.RandomHex(4))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skip("no cgroup to be had:", err)
	}
	t.Cleanup(func() {
		if err := (&child.Cage{Group: dir}).Remove(); err != nil {
			t.Error(err)
		}
	})
	if err := cgroup.Make(dir, limit); err != nil {
		t.Skip("no pids controller:", err)
	}
	return dir
}

// Sessions that share a cgroup are ended one by one, with what has left their sessions.
func TestCgroup(t *testing.T) {
	need.Root(t)
	dir := pidsCgroup(t, 100)
	a, b := start(t, Config{Cgroup: dir}), start(t, Config{Cgroup: dir})
	o := run(t, a, "setsid -w sh -c 'sleep 1000 & echo $!'", 0)
	escaped := pids(t, o.content)[0]
	if !alive(escaped) {
		t.Fatal("it did not start")
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if alive(escaped) {
		t.Error("it is left")
	}
	run(t, b, "sleep 0.01; true", 0)
	o = run(t, b, "setsid -w sh -c 'sleep 1000 & echo $!'", 0)
	escaped = pids(t, o.content)[0]
	if _, err := reap.KillCgroup(t.Context(), dir); err != nil { // as a server does that finds what its predecessor left
		t.Fatal(err)
	}
	if alive(escaped) {
		t.Error("it is left")
	}
}

func TestStartErrors(t *testing.T) {
	leak.Check(t)
	if _, err := Start(Config{Dir: "/no/such/place", Env: environ("/")}); sandbox.CodeOf(err) != sandbox.NotFound {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(Config{Dir: file, Env: environ("/")}); sandbox.CodeOf(err) != sandbox.NotFound {
		t.Error(err)
	}
	if _, err := Start(Config{Cgroup: "/no/such/cgroup", Env: environ("/")}); sandbox.CodeOf(err) != sandbox.NotFound {
		t.Error(err)
	}
	var e *sandbox.Error
	if !errors.As(startError(syscall.EAGAIN), &e) || e.Code != sandbox.Exhausted {
		t.Error(e)
	}
}

// A background process that holds the terminal keeps nobody waiting.
func TestBackgroundHoldsTerminal(t *testing.T) {
	s := start(t, Config{})
	o := run(t, s, "(sleep 1000; echo) & echo started", 0)
	if !strings.HasSuffix(o.content, "\nstarted") {
		t.Errorf("%q", o.content)
	}
	o = run(t, s, "exec 5>&1; (exec >&- 2>&-; sleep 0.1; echo late >&5) & wait -n; true", 0)
	if !strings.Contains(o.content, "late") {
		t.Errorf("%q", o.content)
	}
	// What it prints while nothing runs belongs to the next command.
	run(t, s, "{ read -t 0.2 <> <(:); echo idle >done; echo from behind; } & true", 0)
	for {
		if _, err := os.Stat(filepath.Join(s.Cwd(), "done")); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond)
	if o := run(t, s, "echo front", 0); !strings.Contains(o.content, "from behind") || !strings.Contains(o.content, "front") {
		t.Errorf("%q", o.content)
	}
}
