package jail_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
)

// bounded needs a machine that gives control groups, and gives a backend on it.
func bounded(t testing.TB, ids ...sandbox.ID) *backends.Backend {
	t.Helper()
	need.Root(t)
	need.Cgroup(t)
	b := backends.Open("jail", open(t, t.TempDir()), backends.Config{})
	ends(t, b, ids...)
	return b
}

// TestMemoryOfTheServer takes the memory of the whole sandbox, so that the kernel ends its first process.
func TestMemoryOfTheServer(t *testing.T) {
	b := bounded(t, "x")
	s := began(t, b, sandbox.Spec{ID: "x", Limits: sandbox.Limits{Memory: 64 << 20}})
	// What is in /tmp belongs to no process: the kernel ends one after the other, the server last.
	go s.Do(t.Context(), sandbox.Action{Args: sandbox.RunArgs{Command: `for i in 1 2 3 4 5 6; do head -c 64M /dev/zero >/dev/shm/$i & head -c 64M /dev/zero >/tmp/$i & done; wait`}}, nil)
	ended := make(chan sandbox.Exit, 1)
	go func() {
		if exit, err := s.Wait(t.Context()); err == nil {
			ended <- exit
		}
	}()
	select {
	case exit := <-ended:
		if !exit.Memory || exit.Signal != 9 {
			t.Errorf("it ended with %+v, want for want of memory", exit)
		}
	case <-time.After(5 * time.Second):
		t.Log("the kernel found enough else to end")
		if err := s.Instance().(backends.Halter).Halt(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s = began(t, b, sandbox.Spec{ID: "x", Epoch: 1, Limits: sandbox.Limits{Memory: 256 << 20}})
	if got := run(t, s, "echo again"); got != "again" {
		t.Errorf("revived, it says %q", got)
	}
}

// TestMemoryKill has one program want more than there is, and looks what the observation says.
func TestMemoryKill(t *testing.T) {
	b := bounded(t, "x")
	s := began(t, b, sandbox.Spec{ID: "x", Limits: sandbox.Limits{Memory: 100 << 20}})
	o, err := s.Do(t.Context(), sandbox.Action{Args: sandbox.RunArgs{Command: `python3 -c 'x = bytearray(300 << 20)'`}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, ok := o.Result.(sandbox.RunResult)
	if !ok || r.Metadata.ExitCode != 137 || !strings.Contains(o.Content+r.Metadata.Suffix, "for want of memory") {
		t.Errorf("it says %q, %+v", o.Content, o.Result)
	}
}

// TestPause stops a sandbox and lets it go on.
func TestPause(t *testing.T) {
	b := bounded(t, "x")
	s := began(t, b, sandbox.Spec{ID: "x"})
	p := s.Instance().(backends.Pauser)
	for range 2 { // the second time it is
		if err := p.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := run(t, s, "echo on"); got != "on" {
		t.Errorf("resumed, it says %q", got)
	}
	// A paused sandbox can be stopped, and what is attached to is resumed.
	if err := p.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := b.Attach(t.Context(), "x", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got := run(t, again, "echo on"); got != "on" {
		t.Errorf("attached to, it says %q", got)
	}
	if err := again.Instance().(backends.Pauser).Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	const grace = 5 * time.Minute
	if err := again.Stop(t.Context(), grace); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > grace/2 { // it was not asked to stop while it was frozen
		t.Errorf("to stop it took %v", took)
	}
	if err := p.Resume(t.Context()); sandbox.CodeOf(err) != sandbox.NotFound {
		t.Errorf("Resume of what has ended: %v", err)
	}
}

// TestSetAtBirth looks at what the first process has, which a program that it starts has before anything else is done with it,
// and tries to take it back.
func TestSetAtBirth(t *testing.T) {
	dir := t.TempDir()
	b := backends.Open("jail", open(t, dir), backends.Config{})
	ends(t, b, "x")
	s := began(t, b, sandbox.Spec{ID: "x", Limits: sandbox.Limits{Processes: 100}})
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(server(t, dir, "x")), "limits"))
	if err != nil || !regexp.MustCompile(`(?m)^Max processes +228 +228 `).Match(text) { // and 64 for the server, twice
		t.Errorf("its limits are %s, %v", text, err)
	}
	got := run(t, s, "for i in 1 2; do cat /proc/$$/oom_score_adj; echo 0 >/proc/$$/oom_score_adj; done 2>/dev/null")
	want := "500\n0"
	if header := (unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}); os.Geteuid() == 0 {
		var have [2]unix.CapUserData
		if err := unix.Capget(&header, &have[0]); err != nil {
			t.Fatal(err)
		}
		if have[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0 { // else the kernel takes the number, but does not keep it
			want = "500\n500"
		}
	}
	if got != want {
		t.Errorf("oom_score_adj is %q, want %q", got, want)
	}
}
