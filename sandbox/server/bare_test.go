package server_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// In a root with nothing but busybox the server starts, says what is missing, and does what can be done with a sh.
func TestBareRoot(t *testing.T) {
	need.Root(t)
	busybox := need.Tool(t, "busybox")
	root, err := os.MkdirTemp("", "bare-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	for _, dir := range []string{"bin", "proc", "dev", "work", "tmp", "state"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for from, to := range map[string]string{busybox: "bin/busybox", sandboxdtest.Binary(t): "bin/sandboxd"} {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, to), b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"sh", "echo", "cat", "sleep", "pwd", "ls"} {
		if err := os.Symlink("busybox", filepath.Join(root, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range []struct{ what, where, kind string }{{"proc", "proc", "proc"}, {"/dev", "dev", ""}} {
		flags := uintptr(0)
		if m.kind == "" {
			flags = syscall.MS_BIND | syscall.MS_REC
		}
		at := filepath.Join(root, m.where)
		if err := syscall.Mount(m.what, at, m.kind, flags, ""); err != nil {
			t.Skipf("mount %s: %v", m.what, err)
		}
		t.Cleanup(func() { _ = syscall.Unmount(at, syscall.MNT_DETACH) })
	}
	cmd := exec.Command("/bin/sandboxd", "--listen", "unix:/tmp/s", "--working-dir", "/work", "--state-dir", "/state")
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	cmd.Dir, cmd.Env, cmd.Stderr = "/", []string{"PATH=/bin", "HOME=/work", "SESSION_API_KEY=" + key}, testLog{t}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("sandboxd: %v", err)
		}
	})
	b := &box{t: t, dir: filepath.Join(root, "work"), socket: filepath.Join(root, "tmp/s")}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", b.socket)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	b.client = &http.Client{Transport: transport}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if r, err := b.client.Get("http://sandbox/alive"); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not come alive")
		}
	}
	if s := b.native("a", run("echo hi")); sandbox.CodeOf(s.err) != sandbox.Unsupported || !strings.Contains(s.err.Error(), "install bash") {
		t.Errorf("%+v", s)
	}
	if status, got := b.execute(`{"action":"run","args":{"command":"echo hi"}}`); status != 200 || !strings.Contains(got, "install bash") {
		t.Errorf("%d %s", status, got)
	}
	b.fetch("PUT", wire.PathSessions+"/p", `{"kind":"pipe"}`, new(wire.Session))
	b.in("p", "b", `x="it's"; cd /bin; echo one`).wantRun(t, 0, "one")
	b.in("p", "c", "echo $x; pwd; false").wantRun(t, 1, "it's\n/bin")
	b.in("p", "d", "exit 3").wantRun(t, 3, "")
	b.in("p", "e", "if; then").wantRun(t, 2, "sh: eval: syntax error: unexpected \";\"")
	b.in("p", "f", "echo on").wantRun(t, 0, "on")
	if got := b.exec(wire.Command{Command: "echo $0; exit 4"}); got.stdout != "sh\n" || got.Code != 4 {
		t.Errorf("%+v", got)
	}
	if s := b.native("g", sandbox.WriteArgs{Path: "f", Content: "x", End: -1}); s.err != nil {
		t.Error(s.err)
	}
}
