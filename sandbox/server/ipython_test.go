package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

func cell(code string) sandbox.IPythonArgs { return sandbox.IPythonArgs{Code: code} }

// withJupyter is a server of which a client has asked for both plugins.
func withJupyter(c *server.Config) { c.Plugins = []string{"agent_skills", "jupyter"} }

func TestCellsForOpenHands(t *testing.T) {
	need.Kernel(t)
	b := start(t, withJupyter)
	if _, body := b.do("GET", wire.PathKernels, ""); !strings.Contains(body, `"name":"main","language":"python3","state":"idle"`) {
		t.Errorf("ready before its kernel: %s", body)
	}
	ask := func(args string) (string, map[string]any) {
		t.Helper()
		status, body := b.execute(`{"action":"run_ipython","args":` + args + `,"timeout":60}`)
		var got struct {
			Observation, Content string
			Success              bool
			Extras               map[string]any
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != http.StatusOK || got.Observation != "run_ipython" || !got.Success {
			t.Fatalf("%d %s", status, body)
		}
		return got.Content, got.Extras
	}
	_, exe, _ := strings.Cut(first(ask(`{"code":"import sys; print('at ' + sys.executable)","include_extra":false}`)), "at ")
	content, extras := ask(`{"code":"print('Hello, ` + "`World`" + `!\\n')"}`)
	if want := "Hello, `World`!\n[Jupyter current working directory: " + b.dir + "]\n[Jupyter Python interpreter: " + exe + "]"; content != want {
		t.Errorf("%q, want %q", content, want)
	}
	if urls, ok := extras["image_urls"]; len(extras) != 2 || urls != nil || !ok {
		t.Errorf("%v", extras)
	}
	if _, extras := ask(`{"code":"from IPython.display import HTML; HTML('<b>')"}`); len(extras) != 2 {
		t.Errorf("%v", extras)
	}
	b.native("cd", run("mkdir -p sub; cd sub")).wantRun(t, 0, "")
	if got, _ := ask(`{"code":"import os; os.getcwd()"}`); !strings.HasPrefix(got, "'"+b.dir+"/sub'\n[Jupyter current working directory: "+b.dir+"/sub]") {
		t.Error(got)
	}
	if got, _ := ask(`{"code":"print(file_editor(command='create', path='` + b.dir + `/f', file_text='x'))","include_extra":false}`); !strings.Contains(got, "File created successfully at: "+b.dir+"/f") {
		t.Error(got)
	}
}

func first(content string, _ map[string]any) string { return content }

// Without ipykernel a client that connects is answered, and told what to install.
func TestNoIPython(t *testing.T) {
	need.Tool(t, "python3")
	without := t.TempDir() // every Python that starts finds that it has none
	if err := os.WriteFile(filepath.Join(without, "sitecustomize.py"), []byte("import sys; sys.modules['ipykernel'] = None"), 0o644); err != nil {
		t.Fatal(err)
	}
	b := start(t, func(c *server.Config) {
		withJupyter(c)
		c.Env = append(c.Env, "PYTHONPATH="+without)
	})
	var info wire.Info
	if _, body := b.do("GET", wire.PathInfo, ""); json.Unmarshal([]byte(body), &info) != nil || len(info.Plugins) != 2 ||
		info.Plugins[1].State != "off" || !strings.Contains(info.Plugins[1].Error, "pip install ipykernel") {
		t.Errorf("%s", body)
	}
	if status, got := b.execute(`{"action":"run_ipython","args":{"code":"1"}}`); status != http.StatusOK || !strings.Contains(got, "pip install ipykernel") {
		t.Errorf("%d %s", status, got)
	}
	s := b.native("a", cell("1"))
	if s.wantCode(t, sandbox.Unsupported); !strings.Contains(s.err.Error(), "apt-get install python3-ipykernel") {
		t.Error(s.err)
	}
}

func TestCellsNatively(t *testing.T) {
	need.Kernel(t)
	b := start(t, nil)
	if status, body := b.do("GET", wire.PathKernels, ""); status != http.StatusOK || strings.TrimSpace(body) != "[]" {
		t.Errorf("a kernel that nobody asked for: %d %s", status, body)
	}
	s := b.native("a", cell("from IPython.display import HTML\nprint('printed')\nHTML('<b>')"))
	r, ok := s.Result.(sandbox.IPythonResult)
	if !ok || s.output != "printed\n<IPython.core.display.HTML object>" || s.Content != s.output {
		t.Errorf("%+v", s)
	}
	if !bytes.Contains(r.Displays, []byte("text/html")) {
		t.Errorf("%s", r.Displays)
	}
	if again := b.again("a", 0); again.Content != s.Content {
		t.Errorf("%+v", again)
	}
	if status, _ := b.do("PUT", wire.PathEnv, "FRESH=yes"); status != http.StatusNoContent {
		t.Error(status)
	}
	if s := b.native("env", cell("import os; print(os.environ['FRESH'])")); s.Content != "yes" {
		t.Errorf("%+v", s)
	}
	// The cell runs in its own lane, and can be interrupted.
	var wg sync.WaitGroup
	wg.Go(func() {
		if s := b.native("long", cell("import time\nopen('begun', 'w').close()\ntime.sleep(1000)")); !strings.Contains(s.Content, "KeyboardInterrupt") {
			t.Errorf("%+v", s)
		}
	})
	b.await("begun")
	b.native("shell", run("echo meanwhile")).wantRun(t, 0, "meanwhile")
	if status, body := b.do("POST", wire.PathActions+"long/interrupt", ""); status != http.StatusNoContent {
		t.Errorf("%d %s", status, body)
	}
	wg.Wait()
}

func TestKernelRoutes(t *testing.T) {
	need.Kernel(t)
	b := start(t, nil)
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/main", "", http.StatusNotFound, "not_found"},
		{"POST", "/x/interrupt", "", http.StatusNotFound, "not_found"},
		{"DELETE", "/x", "", http.StatusNotFound, "not_found"},
		{"PUT", "/a%2fb", "", http.StatusBadRequest, "invalid"},
		{"PUT", "/", "", http.StatusBadRequest, "invalid"},
		{"PUT", "/x", "{", http.StatusBadRequest, "invalid"},
		{"PUT", "/x", `{"language":"cobol"}`, http.StatusNotFound, "python3"},
		{"PUT", "/x", "", http.StatusCreated, `"name":"x","language":"python3","state":"idle"`},
		{"PUT", "/x", `{"language":"python"}`, http.StatusOK, `"name":"x"`},
		{"GET", "/x", "", http.StatusOK, `"pid":`},
		{"POST", "/x/interrupt", "", http.StatusConflict, "no cell is running"},
		{"POST", "/x/restart", "", http.StatusNoContent, ""},
		{"POST", "/x/other", "", http.StatusNotFound, "no such route"},
		{"GET", "", "", http.StatusOK, `[{"name":"x",`},
		{"DELETE", "/x", "", http.StatusNoContent, ""},
		{"GET", "", "", http.StatusOK, "[]"},
		{"PATCH", "/x", "", http.StatusMethodNotAllowed, "method"},
	} {
		if status, body := b.do(c.method, wire.PathKernels+c.path, c.body); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s %s %s: %d %s; want %d, %s", c.method, c.path, c.body, status, body, c.status, c.want)
		}
	}
}

// A server that stops while its kernel starts does not wait for it.
func TestStopWhileTheKernelStarts(t *testing.T) {
	need.Kernel(t)
	b := begin(t, withJupyter)
	b.stop()
}

// The kernels of a killed server are ended by the next one, with what they have started, and their files removed.
func TestKernelsOfAKilledServer(t *testing.T) {
	need.Kernel(t)
	leak.Check(t)
	s := sandboxdtest.New(t)
	s.Key = key
	s.Start()
	b := real(t, s)
	mark := b.native("mark", run("echo $SANDTREE_SANDBOX")).Content
	find := reap.Marked("SANDTREE_SANDBOX", mark)
	cut := make(chan error, 1)
	go func() {
		code := "import os, subprocess\nsubprocess.Popen(['sleep', '1000'], start_new_session=True)\nopen('begun', 'w').close()\n!sleep 1000"
		response, err := b.client.Do(b.request("POST", wire.PathActions+"cut", event(cell(code))))
		if err == nil {
			_, err = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		cut <- err
	}()
	b.await("begun")
	s.Kill()
	<-cut
	before := running(t, find)
	dirs := func() []string {
		found, _ := filepath.Glob(filepath.Join(os.TempDir(), "sandtree-kernels-"+mark+"-*"))
		return found
	}
	if len(before) < 2 || len(dirs()) != 1 {
		t.Fatalf("%v, %q are left by the killed server: the test shows nothing", before, dirs())
	}
	s.Start()
	b = real(t, s)
	for _, p := range running(t, find) {
		if slices.Contains(before, p) {
			t.Errorf("%+v is left", p)
		}
	}
	if o := b.again("cut", 0); !o.Interrupted() {
		t.Errorf("%+v", o)
	}
	if o := b.native("next", cell("'os' in globals()")); o.Content != "False" {
		t.Errorf("%+v", o)
	}
	if left := dirs(); len(left) != 1 {
		t.Errorf("%q", left)
	}
	s.Stop()
	if left := dirs(); len(left) != 0 {
		t.Errorf("%q", left)
	}
}
