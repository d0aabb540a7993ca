package server_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// slowly makes a home whose .bashrc waits for a file.
func slowly(t *testing.T) (home, open string) {
	t.Helper()
	home = t.TempDir()
	open = filepath.Join(home, "open")
	if err := os.WriteFile(filepath.Join(home, ".bashrc"), []byte("while ! [ -e ~/open ]; do sleep 0.01; done\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return home, open
}

func TestNothingIsAnsweredBeforeItIsReady(t *testing.T) {
	home, open := slowly(t)
	b := begin(t, func(c *server.Config) { c.Env = append(c.Env, "HOME="+home) })
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/alive", "", 503}, {"GET", "/server_info", "", 200}, {"POST", "/execute_action", "{}", 503},
		{"POST", wire.PathActions + "a", event(run("true")), 503}, {"POST", wire.PathLease, "", 503},
	} {
		if status, got := b.do(c.method, c.path, c.body); status != c.status {
			t.Errorf("%s: %d %s, want %d", c.path, status, got, c.status)
		}
	}
	b.native("a", run("true")).wantCode(t, sandbox.Unavailable)
	if err := os.WriteFile(open, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	<-b.Ready()
	if status, got := b.do("GET", "/alive", ""); status != 200 || got != `{"status":"ok"}` {
		t.Errorf("%d %s", status, got)
	}
	b.native("a", run("echo now")).wantRun(t, 0, "now")
}

// A stop does not wait for a shell that takes long to start.
func TestStopBeforeItIsReady(t *testing.T) {
	need.Tool(t, "bash")
	home, _ := slowly(t)
	dir := t.TempDir()
	stop := startProgram(t, []string{"HOME=" + home}, "--listen", "unix:"+filepath.Join(dir, "s"), "--working-dir", dir)
	for {
		if conn, err := net.Dial("unix", filepath.Join(dir, "s")); err == nil {
			conn.Close()
			break
		}
	}
	begun := time.Now()
	if status := stop(); status != 0 {
		t.Errorf("status %d", status)
	}
	if took := time.Since(begun); took > 18*time.Second { // which is when it would start without the user's files
		t.Errorf("it took %v", took)
	}
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	leak.Check(t)
	s, err := server.New(t.Context(), server.Config{Dir: t.TempDir(), Cgroup: "/none/such"})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(ln); err == nil {
		t.Error("it serves without a shell")
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]server.Config{
		"Dir":         {Dir: "relative"},
		"OrphanAfter": {Dir: "/tmp", OrphanAfter: -1},
		"Plugins":     {Dir: "/tmp", Plugins: []string{"wings"}},
		"MaxBody":     {Dir: "/tmp", MaxBody: -1},
	} {
		_, err := server.New(t.Context(), c)
		if sandbox.CodeOf(err) != sandbox.Invalid || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := server.New(ctx, server.Config{Dir: "/tmp"}); sandbox.CodeOf(err) != sandbox.Canceled {
		t.Errorf("%v", err)
	}
}

func TestShutdownTwice(t *testing.T) {
	took := shutDownTwice(t)
	for tries := 1; took > time.Second && tries < 5; tries++ { // a busy machine takes its time to kill
		took = min(took, shutDownTwice(t))
	}
	if took > time.Second { // which is when connections that are in use are closed
		t.Errorf("it took %v", took)
	}
}

func shutDownTwice(t *testing.T) (took time.Duration) {
	b := start(t, nil)
	idle, err := net.Dial("unix", b.socket) // a connection on which nothing was ever asked
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	b.native("a", run("sleep 1000 &")).wantContent(t, "")
	begun := time.Now()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if err := b.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	took = time.Since(begun)
	if _, err := b.client.Get("http://sandbox/alive"); err == nil {
		t.Error("it answers")
	}
	if err := b.Serve(nopListener{}); err != nil {
		t.Errorf("serving after the end: %v", err)
	}
	return took
}

type nopListener struct{ net.Listener }

func (nopListener) Close() error { return nil }

// A bug is an answer for the one whom it hits.
func TestAPanicIsAnAnswer(t *testing.T) {
	b := start(t, nil)
	b.Break()
	b.native("a", sandbox.ReadArgs{Path: "f", End: -1}).wantCode(t, sandbox.Internal)
	b.again("a", 0).wantCode(t, sandbox.Internal)
	if status, got := b.execute(`{"action":"read","args":{"path":"f"}}`); status != 500 || !strings.HasPrefix(detailOf(t, got), "Internal server error: ") {
		t.Errorf("%d %s", status, got)
	}
	if status, got := b.do("POST", "/list_files", "{}"); status != 500 || detailOf(t, got) != "An unexpected error occurred. Please try again later." {
		t.Errorf("%d %s", status, got)
	}
	if status, got := b.do("GET", wire.PathList, ""); status != 500 || sandbox.CodeOf(wire.ParseError([]byte(got), 0)) != sandbox.Internal {
		t.Errorf("%d %s", status, got)
	}
	b.native("b", run("echo alive")).wantRun(t, 0, "alive")
}

// The shell dies with a command, and the next one has a new shell in the same place.
func TestTheShellIsReplaced(t *testing.T) {
	b := start(t, nil)
	b.native("cd", run("mkdir sub; cd sub")).wantExit(t, 0)
	b.native("a", run("exit 7")).wantExit(t, 7)
	b.native("b", run("echo ${PWD##*/}")).wantRun(t, 0, "sub")
	if s := b.native("c", run("kill -9 $$")); s.err != nil {
		t.Error(s.err)
	}
	b.native("d", run("echo ${PWD##*/}")).wantRun(t, 0, "sub")
}

func (s seen) wantExit(t testing.TB, exit int) {
	t.Helper()
	if s.err != nil || s.exit() != exit {
		t.Errorf("%v, exit %d; want %d", s.err, s.exit(), exit)
	}
}

const bomb = `:() { :|:& }; :`

func TestAForkBombIsBounded(t *testing.T) {
	need.Root(t)
	t.Run("by a cgroup", func(t *testing.T) {
		dir := need.Cgroup(t)
		if err := os.WriteFile(filepath.Join(dir, "pids.max"), []byte("80"), 0o644); err != nil {
			t.Skip(err)
		}
		explode(t, func() int { return len(running(t, reap.InCgroup(dir))) }, func(c *server.Config) { c.Cgroup = dir })
	})
	t.Run("by RLIMIT_NPROC", func(t *testing.T) {
		const nobody = 48_211 // whose processes are the sandbox's alone
		explode(t, func() int { return ofUser(t, nobody) }, func(c *server.Config) {
			c.User, c.Processes = &syscall.Credential{Uid: nobody, Gid: nobody}, 80
			c.Dir = "/tmp"
		})
	})
}

// explode lets a bomb off and sees that the sandbox answers after it, and that nothing is left after a stop.
func explode(t *testing.T, processes func() int, change func(*server.Config)) {
	t.Helper()
	b := start(t, change)
	b.native("bomb", run(bomb))
	for begun := time.Now(); processes() < 60; time.Sleep(time.Millisecond) { // nothing tells when a bomb has gone off
		if time.Since(begun) > time.Minute {
			t.Fatalf("%d processes: a dud", processes())
		}
	}
	begun := time.Now()
	for { // a builtin needs no process; the shell may still be busy with the bomb
		s := b.native(sandbox.NewActionID(), run("echo al''ive"))
		if strings.Contains(s.Content, "alive") {
			break
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("after a minute: %v, %q", s.err, s.Content)
		}
	}
	t.Logf("it answers after %v", time.Since(begun))
	begun = time.Now()
	b.stop()
	t.Logf("it stops in %v", time.Since(begun))
	if n := processes(); n > 0 {
		t.Errorf("%d processes are left", n)
	}
	b = start(t, change)
	// In this test the killed fall to process 1, and count until it has buried them; bash says that it tries again.
	b.native("after", run("/bin/echo alive")).wantContent(t, "alive")
}

// ofUser counts a user's processes.
func ofUser(t *testing.T, uid uint32) (n int) {
	t.Helper()
	for _, p := range running(t, reap.List) {
		if info, err := os.Stat(fmt.Sprintf("/proc/%d", p.PID)); err == nil && info.Sys().(*syscall.Stat_t).Uid == uid {
			n++
		}
	}
	return n
}

func TestOutputIsHeldForAsLongAsItIsCheap(t *testing.T) {
	b := start(t, nil)
	for i := range 20 {
		b.native("a"+string(rune('a'+i)), run("echo output")).wantRun(t, 0, "output")
	}
	if s := b.again("at", 0); s.output != "output\r\n" {
		t.Errorf("the latest one's output: %q", s.output)
	}
	if s := b.again("aa", 0); s.output != "" || s.Content != "output" {
		t.Errorf("the oldest one: %q, %q", s.output, s.Content)
	}
}

func TestKeptAliveBetweenRequests(t *testing.T) {
	b := start(t, nil)
	conn, err := net.Dial("unix", b.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 3 {
		if _, err := conn.Write([]byte("GET /alive HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1024)
		if n, err := conn.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 200") || strings.Contains(string(buf[:n]), "close") {
			t.Fatalf("%v: %s", err, buf[:n])
		}
	}
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v: the server hangs up", err)
	}
}

// Constant memory: a gigabyte goes up and down while the server takes no more than a few megabytes.
func TestLargeFilesStream(t *testing.T) {
	need.Tool(t, "bash")
	s := sandboxdtest.New(t)
	s.Key = key
	s.Start()
	b := real(t, s)
	const size = 256 << 20
	r := b.request("PUT", wire.PathFiles+"?path=large", "")
	r.Body, r.ContentLength = zeros(size), size
	if status, got := b.send(r); status != http.StatusNoContent {
		t.Fatalf("%d %s", status, got)
	}
	response, err := b.client.Do(b.request("GET", wire.PathFiles+"?path=large", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	n := count(t, response.Body)
	if n != size {
		t.Errorf("%d bytes came back", n)
	}
	peak := b.native("peak", run("grep VmHWM /proc/$SANDBOXD_PID/status")).Content
	t.Log(peak)
	var kb int
	for _, f := range strings.Fields(peak) {
		if n, ok := number(f); ok {
			kb = n
		}
	}
	if kb == 0 || kb > 40<<10 {
		t.Errorf("the server took %d KB", kb)
	}
}
