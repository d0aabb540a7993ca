package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/need"
)

func (b *box) plant(name, content string) {
	b.t.Helper()
	p := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func TestGlobRequest(t *testing.T) {
	b := start(t, nil)
	for _, name := range []string{"a.go", "b/c.go", "b/.d.go", "x/y.go"} {
		b.plant(name, "")
	}
	b.plant(".gitignore", "x\n")
	for body, want := range map[string]string{
		`{"pattern":"**/*.go"}`:                              `{"paths":["a.go","b/c.go","x/y.go"],"truncated":false}`,
		`{"pattern":"**/*.go","ignore":true}`:                `{"paths":["a.go","b/c.go"],"truncated":false}`,
		`{"pattern":"*","path":"b"}`:                         `{"paths":["c.go"],"truncated":false}`,
		`{"pattern":"*","path":"b","hidden":true,"limit":1}`: `{"paths":[".d.go"],"truncated":true}`,
		`{"pattern":"none"}`:                                 `{"paths":[],"truncated":false}`,
	} {
		if status, got := b.do("POST", wire.PathGlob, body); status != 200 || got != want {
			t.Errorf("%s: %d %s", body, status, got)
		}
	}
	for body, want := range map[string]int{`{"pattern":"../*"}`: 400, `{"pattern":"*","limit":10001}`: 400, `{"pattern":"*","path":"/etc"}`: 403, `[]`: 400} {
		if status, got := b.do("POST", wire.PathGlob, body); status != want {
			t.Errorf("%s: %d %s", body, status, got)
		}
	}
}

func TestGrepRequest(t *testing.T) {
	t.Run("ripgrep", func(t *testing.T) {
		need.Tool(t, "rg")
		grepRequest(t, "ripgrep", nil)
	})
	t.Run("go", func(t *testing.T) {
		grepRequest(t, "go", func(c *server.Config) { c.Env = []string{"PATH=/nowhere"} })
	})
}

func grepRequest(t *testing.T, engine string, change func(*server.Config)) {
	b := start(t, change)
	b.plant("d/f.txt", "before\nneedle <1>\nafter\n")
	b.plant("d/g.go", "needle <2>\n")
	status, got := b.do("POST", wire.PathGrep, `{"pattern":"needle","context":1,"glob":"*.txt"}`)
	want := `{"path":"d/f.txt","line":1,"text":"before","context":true}
{"path":"d/f.txt","line":2,"text":"needle <1>","column":1}
{"path":"d/f.txt","line":3,"text":"after","context":true}
{"done":true,"matches":1,"files":1,"truncated":false,"engine":"` + engine + `"}
`
	if status != 200 || got != want {
		t.Errorf("%d %s", status, got)
	}
	status, got = b.do("POST", wire.PathGrep, `{"pattern":"NEEDLE","ignore_case":true,"limit":1,"path":"d"}`)
	if status != 200 || !strings.HasSuffix(got, `{"done":true,"matches":1,"files":1,"truncated":true,"engine":"`+engine+"\"}\n") {
		t.Errorf("%d %s", status, got)
	}
	for body, want := range map[string]int{`{"pattern":"("}`: 400, `{"pattern":"x","path":"none"}`: 404, `{"pattern":"x","path":".."}`: 403, `{"pattern":"x","context":101}`: 400} {
		if status, got := b.do("POST", wire.PathGrep, body); status != want {
			t.Errorf("%s: %d %s", body, status, got)
		}
	}
}

// watching begins a watch and gives what reads its next event but heartbeats.
func (b *box) watching(ctx context.Context, query string) (next func() (wire.WatchEvent, error)) {
	b.t.Helper()
	r, err := b.client.Do(b.request("GET", wire.PathWatch+query, "").WithContext(ctx))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { r.Body.Close() })
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != wire.TypeLines {
		b.t.Fatalf("%d %v", r.StatusCode, r.Header)
	}
	lines := bufio.NewReader(r.Body)
	return func() (e wire.WatchEvent, err error) {
		for e.Type == "" || e.Type == "heartbeat" {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return e, err
			}
			if err := json.Unmarshal(line, &e); err != nil {
				return e, fmt.Errorf("%q: %w", line, err)
			}
		}
		return e, nil
	}
}

func TestWatchRequest(t *testing.T) {
	b := start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	next := b.watching(ctx, "?path=")
	want := func(typ, path string) {
		t.Helper()
		for {
			e, err := next()
			if err != nil {
				t.Fatal(err)
			}
			if e.Type == typ && e.Path == path {
				return
			}
		}
	}
	want("ready", "")
	if status, answer := b.execute(event(run("mkdir -p n/e/w && echo x > n/e/w/f"))); status != 200 {
		t.Fatal(status, answer)
	}
	want("created", "n/e/w/f")
	cancel()

	// A watch ends with the server, and says why.
	next = b.watching(t.Context(), "?path=n&recursive=false")
	if e, err := next(); err != nil || e.Type != "ready" {
		t.Fatal(e, err)
	}
	begun := time.Now()
	b.stop()
	if e, err := next(); err != nil || e.Type != "error" || e.Error.Code != "unavailable" {
		t.Errorf("%+v, %v", e, err)
	}
	if d := time.Since(begun); d > 15*time.Second {
		t.Errorf("it took %v", d)
	}
}

func TestWatchesAreBounded(t *testing.T) {
	b := start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	for range 32 {
		if e, err := b.watching(ctx, "?path=")(); err != nil || e.Type != "ready" {
			t.Fatal(e, err)
		}
	}
	if status, answer := b.do("GET", wire.PathWatch+"?path=", ""); status != 429 || !strings.Contains(answer, "exhausted") {
		t.Errorf("%d %s", status, answer)
	}
	cancel()
	// Those of clients that have gone are free again with the next change that they would have been told of.
	for i := 0; ; i++ {
		b.plant("f", fmt.Sprint(i))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		r, err := b.client.Do(b.request("GET", wire.PathWatch+"?path=", "").WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		cancel()
		if r.StatusCode == 200 {
			break
		}
	}
}

// Both engines have the rights of what runs in the sandbox, not the server's.
func TestGrepAsUser(t *testing.T) {
	need.Root(t)
	rg := need.Tool(t, "rg")
	for engine, path := range map[string]string{"ripgrep": filepath.Dir(rg) + ":" + os.Getenv("PATH"), "go": "/nowhere"} {
		t.Run(engine, func(t *testing.T) { grepAsUser(t, engine, path) })
	}
}

func grepAsUser(t *testing.T, engine, path string) {
	b := start(t, func(c *server.Config) {
		c.User = &syscall.Credential{Uid: 12345, Gid: 12345, Groups: []uint32{777}}
		c.Env = []string{"PATH=" + path}
		if err := os.Chmod(filepath.Dir(c.Dir), 0o755); err != nil {
			t.Fatal(err)
		}
	})
	own := func(name string, uid, gid int, mode os.FileMode) {
		t.Helper()
		if err := errors.Join(os.Chown(filepath.Join(b.dir, name), uid, gid), os.Chmod(filepath.Join(b.dir, name), mode)); err != nil {
			t.Fatal(err)
		}
	}
	own(".", 12345, 12345, 0o755)
	for _, name := range []string{"all", "group", "mine", "minenot", "ours", "shut/in"} {
		b.plant(name, "needle\n")
	}
	own("group", 0, 777, 0o640)
	own("mine", 12345, 0, 0o400)
	own("minenot", 12345, 777, 0o044)
	own("ours", 0, 0, 0o600)
	own("shut", 0, 0, 0o700)
	status, got := b.do("POST", wire.PathGrep, `{"pattern":"needle"}`)
	want := ""
	for _, name := range []string{"all", "group", "mine"} {
		want += `{"path":"` + name + `","line":1,"text":"needle","column":1}` + "\n"
	}
	want += `{"done":true,"matches":3,"files":3,"truncated":false,"engine":"` + engine + `"}` + "\n"
	if status != 200 || got != want {
		t.Errorf("%d %s", status, got)
	}
	if _, got := b.do("POST", wire.PathGrep, `{"pattern":"needle","path":"ours"}`); !strings.Contains(got, `"denied"`) {
		t.Errorf("one file: %s", got)
	}
	if _, got := b.do("POST", wire.PathGrep, `{"pattern":"needle","path":"shut"}`); strings.Contains(got, "needle") {
		t.Errorf("a directory: %s", got)
	}
}
