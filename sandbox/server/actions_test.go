package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/sandbox/wire"
)

func TestAnActionRunsOnce(t *testing.T) {
	b := start(t, nil)
	for range 3 {
		s := b.native("a", run("echo x >>log; wc -l <log"))
		s.wantRun(t, 0, "1")
		if s.output != "1\r\n" {
			t.Errorf("output %q", s.output)
		}
	}
	b.native("b", run("echo x >>log; wc -l <log")).wantRun(t, 0, "2")
	b.again("a", 0).wantRun(t, 0, "1")
	b.native("a", run("echo another")).wantCode(t, sandbox.Conflict)
	b.again("never", 0).wantCode(t, sandbox.NotFound)
	if s := b.again("never", 0); s.status != http.StatusNotFound {
		t.Errorf("status %d", s.status)
	}
}

func TestSameIDAtTheSameTimeJoins(t *testing.T) {
	b := start(t, nil)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			b.native("a", run("echo begun; sleep 0.2; echo x >>log; wc -l <log")).wantRun(t, 0, "begun\n1")
		})
	}
	wg.Wait()
}

func TestActionsTakeTurnsInOrder(t *testing.T) {
	b := start(t, nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		b.native("first", sandbox.RunArgs{Command: "touch begun; while ! [ -e go ]; do sleep 0.01; done; echo first >>log", Blocking: true})
	})
	b.await("begun")
	for i := range 5 {
		// One is received before the next is sent: its stream has begun.
		r, err := b.client.Do(b.request("POST", fmt.Sprintf("%sq%d", wire.PathActions, i), event(run(fmt.Sprintf("echo %d >>log", i)))))
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer r.Body.Close()
			_, _ = io.Copy(io.Discard, r.Body)
		})
	}
	b.write("go", "")
	wg.Wait()
	if got := b.read("log"); got != "first\n0\n1\n2\n3\n4\n" {
		t.Errorf("the order was %q", got)
	}
}

// await waits for a file that a command makes. Commands have no other way to tell that they have begun.
func (b *box) await(name string) {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(b.dir, name)); err == nil {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%s does not come", name)
		}
	}
}

func (b *box) write(name, content string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(content), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) read(name string) string {
	b.t.Helper()
	content, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(content)
}

func TestOutputStreamsWhileItIsProduced(t *testing.T) {
	b := start(t, nil)
	r, err := b.client.Do(b.request("POST", wire.PathActions+"a", event(sandbox.RunArgs{Command: "echo one; while ! [ -e go ]; do sleep 0.01; done; echo two", Blocking: true})))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	frames := wire.NewFrameReader(r.Body)
	f, err := frames.Next()
	if err != nil || string(f.Payload) != "one\r\n" || f.Offset != 0 {
		t.Fatalf("%q at %d, %v", f.Payload, f.Offset, err)
	}
	b.write("go", "")
	f, err = frames.Next()
	if err != nil || string(f.Payload) != "two\r\n" || f.Offset != 5 {
		t.Fatalf("%q at %d, %v", f.Payload, f.Offset, err)
	}
	if f, err = frames.Next(); err != nil || f.Type != wire.FrameDone || f.Offset != 10 {
		t.Fatalf("%+v, %v", f, err)
	}
}

func TestAClientThatGoesAwayChangesNothing(t *testing.T) {
	b := start(t, nil)
	r, err := b.client.Do(b.request("POST", wire.PathActions+"a", event(sandbox.RunArgs{Command: "echo one; while ! [ -e go ]; do sleep 0.01; done; echo two", Blocking: true})))
	if err != nil {
		t.Fatal(err)
	}
	frames := wire.NewFrameReader(r.Body)
	if f, err := frames.Next(); err != nil || string(f.Payload) != "one\r\n" {
		t.Fatalf("%q, %v", f.Payload, err)
	}
	r.Body.Close() // the connection is cut
	b.write("go", "")
	s := b.again("a", 5)
	s.wantRun(t, 0, "one\ntwo")
	if s.output != "two\r\n" {
		t.Errorf("from byte 5 on: %q", s.output)
	}
	if s := b.again("a", 0); s.output != "one\r\ntwo\r\n" { // still held after the end
		t.Errorf("all of it: %q", s.output)
	}
	if s := b.again("a", 99); s.output != "" {
		t.Errorf("beyond the end: %q", s.output)
	}
}

func TestAMillionLines(t *testing.T) {
	b := start(t, func(c *server.Config) { c.MaxOutput = 64 << 10 })
	s := b.native("a", run("seq 1000000"))
	if s.err != nil || s.exit() != 0 {
		t.Fatalf("%v, exit %d", s.err, s.exit())
	}
	if !strings.HasSuffix(s.output, "\r\n999999\r\n1000000\r\n") {
		t.Errorf("the output ends in %q", s.output[max(0, len(s.output)-40):])
	}
	if !strings.HasSuffix(s.Content, "\n1000000") {
		t.Errorf("the content ends in %q", s.Content[max(0, len(s.Content)-40):])
	}
}

// A reader slower than the ring misses output and sees that it does; the command is not held up.
func TestASlowReaderSkips(t *testing.T) {
	b := start(t, func(c *server.Config) { c.MaxOutput = 16 << 10 })
	conn, err := net.Dial("unix", b.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := b.request("POST", wire.PathActions+"a", event(run("head -c 20000000 /dev/zero | tr '\\0' x; echo; touch done")))
	if err := r.Write(conn); err != nil {
		t.Fatal(err)
	}
	b.await("done") // while nobody reads
	b.again("a", 0) // its output may still be on the way, and then more than is held is seen of it
	s := b.again("a", 0)
	if s.exit() != 0 || len(s.output) > 20<<10 {
		t.Errorf("exit %d, %d bytes are held", s.exit(), len(s.output))
	}
}

func TestHardInput(t *testing.T) {
	b := start(t, nil)
	long := strings.Repeat("a", 5<<20)
	b.native("long", run("x='"+long+"'; echo ${#x}")).wantRun(t, 0, fmt.Sprint(len(long)))
	b.native("closes", run("(exec >&- 2>&-; sleep 0.05); echo after")).wantRun(t, 0, "after")
	b.native("odd", run("printf '%s\\n' '$`\\\"é'")).wantRun(t, 0, "$`\\\"é")
	s := b.native("write", sandbox.WriteArgs{Path: "f", Content: "a\x00b", End: -1})
	if s.err != nil || b.read("f") != "a\x00b\n" {
		t.Errorf("%v: %q", s.err, b.read("f"))
	}
}

func TestBadInputChangesNothing(t *testing.T) {
	b := start(t, func(c *server.Config) { c.MaxBody = 1 << 20 })
	b.native("first", run("ls")).wantRun(t, 0, "")
	for name, c := range map[string]struct {
		method, path, body string
		header             []string
		status             int
		code               sandbox.Code
	}{
		"no JSON":            {"POST", "a", `{"action":"run"`, nil, 400, sandbox.Invalid},
		"empty":              {"POST", "a", ``, nil, 400, sandbox.Invalid},
		"a list":             {"POST", "a", `[1]`, nil, 400, sandbox.Invalid},
		"unknown action":     {"POST", "a", `{"action":"fly","args":{}}`, nil, 400, sandbox.Invalid},
		"an observation":     {"POST", "a", `{"observation":"run","content":""}`, nil, 400, sandbox.Invalid},
		"no command":         {"POST", "a", `{"action":"run","args":{}}`, nil, 400, sandbox.Invalid},
		"unknown argument":   {"POST", "a", `{"action":"run","args":{"command":"touch bad","wings":2}}`, nil, 400, sandbox.Invalid},
		"command is a list":  {"POST", "a", `{"action":"run","args":{"command":["touch","bad"]}}`, nil, 400, sandbox.Invalid},
		"not UTF-8":          {"POST", "a", "{\"action\":\"run\",\"args\":{\"command\":\"touch bad\xff\"}}", nil, 400, sandbox.Invalid},
		"NUL in a command":   {"POST", "a", `{"action":"run","args":{"command":"touch bad\u0000"}}`, nil, 400, sandbox.Invalid},
		"raw NUL":            {"POST", "a", "{\"action\":\"run\",\"args\":{\"command\":\"touch bad\x00\"}}", nil, 400, sandbox.Invalid},
		"NUL in a path":      {"POST", "a", `{"action":"write","args":{"path":"bad\u0000","content":""}}`, nil, 400, sandbox.Invalid},
		"not for a sandbox":  {"POST", "a", `{"action":"think","args":{"thought":"hm"}}`, nil, 400, sandbox.Invalid},
		"other editor":       {"POST", "a", `{"action":"edit","args":{"path":"bad","impl_source":"llm_based_edit"}}`, nil, 400, sandbox.Invalid},
		"browse":             {"POST", "a", `{"action":"browse","args":{"url":"http://x"}}`, nil, 501, sandbox.Unsupported},
		"a tool, no name":    {"POST", "a", `{"action":"call_tool_mcp","args":{}}`, nil, 400, sandbox.Invalid},
		"too long":           {"POST", "a", `{"action":"run","args":{"command":"touch bad` + strings.Repeat(" ", 2<<20) + `"}}`, nil, 413, sandbox.Invalid},
		"bad id":             {"POST", "a%2Fb", `{"action":"run","args":{"command":"touch bad"}}`, nil, 400, sandbox.Invalid},
		"long id":            {"POST", strings.Repeat("a", 65), `{"action":"run","args":{"command":"touch bad"}}`, nil, 400, sandbox.Invalid},
		"no id":              {"POST", "", `{"action":"run","args":{"command":"touch bad"}}`, nil, 400, sandbox.Invalid},
		"bad offset":         {"POST", "a?offset=-1", `{"action":"run","args":{"command":"touch bad"}}`, nil, 400, sandbox.Invalid},
		"wrong method":       {"DELETE", "a", ``, nil, 405, sandbox.Invalid},
		"bad epoch":          {"POST", "a", `{"action":"run","args":{"command":"touch bad"}}`, []string{wire.HeaderEpoch, "x"}, 400, sandbox.Invalid},
		"newer version":      {"POST", "a", `{"action":"run","args":{"command":"touch bad"}}`, []string{wire.HeaderVersion, "99"}, 501, sandbox.Unsupported},
		"no key":             {"POST", "a", `{"action":"run","args":{"command":"touch bad"}}`, []string{wire.HeaderKey, ""}, 403, sandbox.Denied},
		"interrupt unknown":  {"POST", "b/interrupt", ``, nil, 404, sandbox.NotFound},
		"interrupt done":     {"POST", "first/interrupt", ``, nil, 409, sandbox.Conflict},
		"interrupt by a GET": {"GET", "first/interrupt", ``, nil, 405, sandbox.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := b.do(c.method, wire.PathActions+c.path, c.body, c.header...)
			if err := wire.ParseError([]byte(body), 0); status != c.status || sandbox.CodeOf(err) != c.code {
				t.Errorf("status %d, %s; want %d, %s", status, body, c.status, c.code)
			}
			if c.path == "a" {
				b.again("a", 0).wantCode(t, sandbox.NotFound)
			}
		})
	}
	b.native("last", run("ls")).wantRun(t, 0, "")
}

// endless is a body that does not end, and counts what was taken of it.
type endless struct{ taken int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.taken += int64(len(p))
	return len(p), nil
}

func TestAHugeBodyIsRefusedEarly(t *testing.T) {
	b := start(t, nil)
	for name, c := range map[string]struct {
		length int64
		ask    bool
	}{"of known length": {1 << 30, false}, "of known length, asked before": {1 << 30, true}, "in chunks": {-1, false}} {
		for _, path := range []string{"/execute_action", wire.PathActions + "a", "/list_files", "/update_mcp_server"} {
			t.Run(name+path, func(t *testing.T) {
				body := &endless{}
				r := b.request("POST", path, "")
				r.Body, r.ContentLength = io.NopCloser(body), c.length
				if c.ask {
					r.Header.Set("Expect", "100-continue")
				}
				if response, err := b.client.Do(r); err == nil {
					defer response.Body.Close()
					if response.StatusCode != http.StatusRequestEntityTooLarge {
						got, _ := io.ReadAll(response.Body)
						t.Errorf("status %d: %s", response.StatusCode, got)
					}
				} else {
					t.Error(err)
				}
				if c.ask && body.taken > 1<<20 {
					t.Errorf("%d bytes were taken", body.taken)
				}
			})
		}
	}
	b.native("alive", run("echo alive")).wantRun(t, 0, "alive")
}

func TestInterrupt(t *testing.T) {
	b := start(t, nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		b.native("a", run("sh -c 'touch begun; exec sleep 1000'")).wantRun(t, 130, "")
	})
	b.await("begun")
	wg.Go(func() {
		if s := b.native("waiting", run("touch ran")); !s.Interrupted() {
			t.Errorf("%+v; want an interrupted action", s)
		}
	})
	for { // until it is received
		if status, _ := b.do("POST", wire.PathActions+"waiting/interrupt", ""); status == http.StatusNoContent {
			break
		}
	}
	if status, body := b.do("POST", wire.PathActions+"a/interrupt", ""); status != http.StatusNoContent {
		t.Errorf("%d %s", status, body)
	}
	wg.Wait()
	b.native("after", run("ls")).wantRun(t, 0, "begun")
}

func TestALowerEpochIsFenced(t *testing.T) {
	b := start(t, func(c *server.Config) { c.Epoch = 2 })
	old, current, newer := []string{wire.HeaderEpoch, "1"}, []string{wire.HeaderEpoch, "2"}, []string{wire.HeaderEpoch, "3"}
	b.native("a", run("echo a"), current...).wantRun(t, 0, "a")
	b.native("b", run("touch bad"), old...).wantCode(t, sandbox.Conflict)
	if status, body := b.do("POST", wire.PathLease, "", append(newer, wire.HeaderOwner, "me")...); status != http.StatusNoContent {
		t.Errorf("renewing the lease: %d %s", status, body)
	}
	for _, r := range []*http.Request{
		b.request("POST", wire.PathActions+"b", event(run("touch bad")), current...),
		b.request("POST", wire.PathActions+"a", event(run("echo a")), current...),
		b.request("GET", wire.PathActions+"a", "", current...),
		b.request("POST", wire.PathActions+"a/interrupt", "", current...),
		b.request("PUT", wire.PathFiles+"?path=bad", "x", current...),
		b.request("GET", wire.PathList, "", current...),
		b.request("POST", wire.PathLease, "", current...),
	} {
		status, body := b.send(r)
		if status != http.StatusConflict || sandbox.CodeOf(wire.ParseError([]byte(body), 0)) != sandbox.Conflict {
			t.Errorf("%s %s: %d %s", r.Method, r.URL, status, body)
		}
	}
	b.native("c", run("ls"), newer...).wantRun(t, 0, "")
	b.native("d", run("ls")).wantRun(t, 0, "") // one that states no epoch is not fenced
}

// What a controller has begun to send is not taken any more once another one has come in its place.
func TestAnUploadIsFencedInTheMiddle(t *testing.T) {
	b := start(t, nil)
	for i, path := range []string{wire.PathFiles + "?path=late", wire.PathTree + "?path=.", wire.PathEnv} {
		older, old, newer := strconv.Itoa(3*i+1), strconv.Itoa(3*i+2), strconv.Itoa(3*i+3)
		body, send := io.Pipe()
		r := b.request("PUT", path, "", wire.HeaderEpoch, old)
		r.Body, r.ContentLength = body, -1
		answered := make(chan int, 1)
		go func() {
			status, _ := b.send(r)
			answered <- status
		}()
		if _, err := send.Write([]byte("A=1")); err != nil { // taken by the client, and so on its way
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // its epoch tells that it has come
			if status, _ := b.do("POST", wire.PathLease, "", wire.HeaderEpoch, older); status == http.StatusConflict {
				break
			} else if time.Now().After(deadline) {
				t.Fatal("the upload has not begun")
			}
		}
		if status, text := b.do("POST", wire.PathLease, "", wire.HeaderEpoch, newer); status != http.StatusNoContent {
			t.Fatalf("the newer one: %d %s", status, text)
		}
		send.Close()
		if status := <-answered; status != http.StatusConflict {
			t.Errorf("%s: status %d, want %d", path, status, http.StatusConflict)
		}
	}
	b.native("a", run("ls; echo $A")).wantRun(t, 0, "")
}

// Variables are exported by hidden commands, and their values are written nowhere.
func TestTheTextOfAHiddenCommandIsNotOnRecord(t *testing.T) {
	dir := t.TempDir()
	b := start(t, func(c *server.Config) { c.StateDir = dir })
	s := b.native("a", sandbox.RunArgs{Command: "export A=the-secret", Hidden: true})
	s.wantRun(t, 0, "")
	if r, ok := s.Result.(sandbox.RunResult); !ok || r.Command != "export A=the-secret" {
		t.Errorf("the answer is %+v", s.Result)
	}
	b.native("b", run("echo shown")).wantRun(t, 0, "shown")
	ledger, err := os.ReadFile(filepath.Join(dir, "ledger"))
	if err != nil || bytes.Contains(ledger, []byte("the-secret")) || !bytes.Contains(ledger, []byte("echo shown")) {
		t.Errorf("on record: %q, %v", ledger, err)
	}
}

func TestStaticCommandsHaveASessionOfTheirOwn(t *testing.T) {
	b := start(t, nil)
	b.native("a", run("x=1; mkdir sub; cd sub")).wantRun(t, 0, "")
	b.native("b", sandbox.RunArgs{Command: "echo [$x] ${PWD##*/}; x=2", IsStatic: true}).wantRun(t, 0, "[] work")
	b.native("c", sandbox.RunArgs{Command: "echo ${PWD##*/}", IsStatic: true, Cwd: filepath.Join(b.dir, "sub")}).wantRun(t, 0, "sub")
	b.native("d", sandbox.RunArgs{Command: "echo ${PWD##*/}", IsStatic: true, Cwd: "sub"}).wantRun(t, 0, "sub")
	s := b.native("e", sandbox.RunArgs{Command: "pwd", IsStatic: true, Cwd: "/none", Hidden: true})
	if s.exit() != 1 || !strings.Contains(s.Content, "no such directory") {
		t.Errorf("in a directory that is missing: exit %d, %q", s.exit(), s.Content)
	}
	b.native("f", run("echo $x ${PWD##*/}")).wantRun(t, 0, "1 sub")
}

func TestFileActionsFollowTheShell(t *testing.T) {
	b := start(t, nil)
	b.native("a", run("mkdir sub; cd sub")).wantRun(t, 0, "")
	if s := b.native("b", sandbox.WriteArgs{Path: "f", Content: "hello", End: -1}); s.err != nil {
		t.Fatal(s.err)
	}
	if s := b.native("c", sandbox.ReadArgs{Path: "f", End: -1}); s.Content != "hello\n" {
		t.Errorf("%+v", s)
	}
	if b.read("sub/f") != "hello\n" {
		t.Error("not in the shell's directory")
	}
}

// The key is the server's alone, and every program knows whose it is.
func TestTheEnvironmentOfPrograms(t *testing.T) {
	b := start(t, func(c *server.Config) {
		c.Mark = "the-mark"
		c.Env = append(c.Env, server.EnvKey+"=secret", server.EnvMark+"=another", "MINE=1 2")
	})
	b.native("a", run(`echo "$SESSION_API_KEY|$SANDTREE_SANDBOX|$MINE|$(kill -0 $SANDBOXD_PID && echo alive)"`)).
		wantRun(t, 0, "|the-mark|1 2|alive")
	b.native("b", run("env")).wantNot(t, "secret")
}

func (s seen) wantNot(t testing.TB, word string) {
	t.Helper()
	if s.err != nil || strings.Contains(s.Content, word) {
		t.Errorf("%v: %s", s.err, s.Content)
	}
}

func TestAnswersToMalformedHTTP(t *testing.T) {
	b := start(t, nil)
	for _, text := range []string{"nonsense\r\n\r\n", "GET /alive HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 1<<20) + "\r\n\r\n", "\x00\x01\x02\r\n\r\n"} {
		conn, err := net.Dial("unix", b.socket)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = conn.Write([]byte(text)) }() // the server may hang up before it has all
		answer, _ := io.ReadAll(conn)
		conn.Close()
		if !bytes.HasPrefix(answer, []byte("HTTP/1.1 4")) {
			t.Errorf("%.20q: %.100q", text, answer)
		}
	}
	b.native("alive", run("echo alive")).wantRun(t, 0, "alive")
}

func TestASilentActionSendsHeartbeats(t *testing.T) {
	b := start(t, nil)
	r, err := b.client.Do(b.request("POST", wire.PathActions+"a", event(run("sleep 5.5"))))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	frames := wire.NewFrameReader(r.Body)
	behind, err := b.client.Do(b.request("POST", wire.PathActions+"b", event(run("true"))))
	if err != nil {
		t.Fatal(err)
	}
	defer behind.Body.Close()
	f, err := wire.NewFrameReader(behind.Body).Next()
	if err != nil || f.Type != wire.FrameHeartbeat || string(f.Payload) != wire.HeartbeatWaiting {
		t.Errorf("of the action behind: %q with %q, %v; want a heartbeat that says that it waits", f.Type, f.Payload, err)
	}
	for _, want := range []byte{wire.FrameHeartbeat, wire.FrameDone} {
		if f, err := frames.Next(); err != nil || f.Type != want || want == wire.FrameHeartbeat && len(f.Payload) > 0 {
			t.Errorf("%q with %q, %v; want %q", f.Type, f.Payload, err, want)
		}
	}
}

// Everything that has an effect is refused while another is performed, not queued without bound.
func TestTheQueueIsBounded(t *testing.T) {
	b := start(t, nil)
	hold, err := b.client.Do(b.request("POST", wire.PathActions+"hold", event(sandbox.RunArgs{Command: "touch begun; while ! [ -e go ]; do sleep 0.01; done", Blocking: true})))
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Body.Close()
	b.await("begun")
	full := false
	for i := 0; i < 300 && !full; i++ {
		r, err := b.client.Do(b.request("POST", fmt.Sprintf("%sq%d", wire.PathActions, i), event(run("echo x >>log"))))
		if err != nil {
			t.Fatal(err)
		}
		if full = r.StatusCode == http.StatusTooManyRequests; full {
			body, _ := io.ReadAll(r.Body)
			if sandbox.CodeOf(wire.ParseError(body, 0)) != sandbox.Exhausted || i < 100 {
				t.Errorf("after %d: %s", i, body)
			}
		}
		r.Body.Close()
	}
	if !full {
		t.Error("there is no bound")
	}
	b.write("go", "")
	b.native("q0", run("echo x >>log")).wantRun(t, 0, "")
}
