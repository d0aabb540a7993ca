package server_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// What a killed server's tools leave, processes and files, goes when the next one starts, whether that is asked for such
// tools or not.
func TestAKillReachesTools(t *testing.T) {
	need.Kernel(t)
	need.Tool(t, "bash", "chromium", "setsid")
	t.Run("sessions", func(t *testing.T) { killReachesTools(t) })
	t.Run("cgroup", func(t *testing.T) { killReachesTools(t, "--cgroup", need.Cgroup(t)) })
}

func killReachesTools(t *testing.T, args ...string) {
	leak.Check(t)
	s := sandboxdtest.New(t, append([]string{"--plugins=jupyter", "--plugins=vscode"}, args...)...)
	s.Key = key
	temp := filepath.Join(s.Root, "t") // short, for sockets
	bin := filepath.Join(s.Root, "bin")
	for _, dir := range []string{temp, bin} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(bin, "openvscode-server"), fmt.Appendf(nil, fakeEditor, "echo Web UI available at http://localhost"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.Env = append(s.Env, "TMPDIR="+temp, "PATH="+bin+":"+os.Getenv("PATH"), fmt.Sprintf("VSCODE_PORT=%d", need.Port(t)))
	s.Start()
	b := real(t, s)
	if b.token() == "" {
		t.Fatal("there is no VS Code")
	}
	b.native("cell", cell("import subprocess; p = subprocess.Popen(['sleep', '1000'], start_new_session=True); print('began')")).wantContent(t, "began")
	if page := b.native("page", sandbox.BrowseArgs{URL: "data:text/html,<h1>here"}); !strings.Contains(page.Content, "here") {
		t.Fatalf("%+v", page)
	}
	const server = `[{"name":"a","command":"bash","args":["-c","setsid sleep 1000 & touch served; sleep 1000"]}]`
	if status, got := b.do("PUT", wire.PathMCP, server); status != http.StatusOK {
		t.Fatalf("%d %s", status, got)
	}
	asked := make(chan struct{})
	go func() { // the server never answers
		defer close(asked)
		if r, err := b.client.Do(b.request("GET", wire.PathMCP+wire.SuffixTools, "")); err == nil {
			r.Body.Close()
		}
	}()
	b.await("served")
	mark := b.native("mark", run("echo $SANDTREE_SANDBOX")).Content
	born := running(t, reap.Descendants(s.PID()))
	s.Kill()
	<-asked
	if left := slices.DeleteFunc(slices.Clone(born), func(p reap.Proc) bool { return !lives(p) }); len(left) < 3 {
		t.Errorf("%v outlived the server: the test shows nothing", left)
	}
	files := func() []string {
		names, err := filepath.Glob(filepath.Join(temp, "*"))
		if err != nil {
			t.Fatal(err)
		}
		elsewhere, err := filepath.Glob("/tmp/*" + mark + "*")
		if err != nil {
			t.Fatal(err)
		}
		return append(names, elsewhere...)
	}
	if left := files(); len(left) < 2 {
		t.Errorf("%q is left: the test shows nothing", left)
	}

	s.Args = args
	s.Start()
	for _, p := range born {
		if lives(p) {
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID))
			t.Errorf("%s (%d) is left", strings.TrimSpace(string(name)), p.PID)
		}
	}
	if left := files(); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
	if status := s.Stop(); status != 0 {
		t.Errorf("status %d", status)
	}
}
