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

// suffix is what is to be shown after a command's content.
func (s seen) suffix() string {
	r, _ := s.Result.(sandbox.RunResult)
	return r.Metadata.Suffix
}

// A command that the kernel kills for want of memory says so, and so does the server when asked.
func TestACommandThatTakesTooMuchMemory(t *testing.T) {
	need.Root(t)
	const root = "/sys/fs/cgroup/memory"
	group, err := os.MkdirTemp(root, "sandtree-test-")
	if err != nil {
		t.Skip("needs a writable tree of version 1 with the memory controller: ", err)
	}
	t.Cleanup(func() { os.Remove(group) })
	if err := os.WriteFile(filepath.Join(group, "memory.limit_in_bytes"), []byte("100000000"), 0); err != nil {
		t.Skip("the memory controller takes no limit: ", err)
	}
	dir, err := os.MkdirTemp("", "oom")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cmd := exec.Command("/bin/sh", "-c", `echo $$ > "$1/cgroup.procs" && shift && exec "$@"`, "sh", group,
		sandboxdtest.Binary(t), "--listen", "unix:"+dir+"/s", "--working-dir", dir+"/w")
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + dir}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	b := &box{t: t, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", dir+"/s")
		}}}}
	for until := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) { // nothing tells, without a descriptor of its own
		if r, err := b.client.Do(b.request("GET", "/alive", "")); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(until) {
			t.Fatal("not alive")
		}
	}
	s := b.native("eat", run(`/usr/bin/python3 -c "x = bytearray(400_000_000)"; (exit $?)`))
	if s.exit() != 128+9 || !strings.Contains(s.suffix(), "killed 1 of the sandbox's processes for want of memory") {
		t.Errorf("exit %d, %q, suffix %q", s.exit(), s.Content, s.suffix())
	}
	if _, body := b.do("GET", "/v1/info", ""); !strings.Contains(body, `"out_of_memory_kills":1`) || !strings.Contains(body, "out of memory: ") {
		t.Errorf("%s", body)
	}
	if got := b.exec(wire.Command{ID: "p", Argv: []string{"/usr/bin/python3", "-c", "x = bytearray(400_000_000)"}}); !got.Memory || got.Signal != "KILL" {
		t.Errorf("a process: %+v", got)
	}
	if got := b.exec(wire.Command{Command: "kill -9 $$"}); got.Memory || got.Signal != "KILL" {
		t.Errorf("a process that killed itself: %+v", got)
	}
	b.native("on", run("echo on")).wantRun(t, 0, "on")
}
