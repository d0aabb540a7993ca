package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// A ran is what came of a process.
type ran struct {
	stdout, stderr string
	wire.Exit
	err error
	gap bool
}

// frames follows the frames of a process.
func (b *box) frames(method, path, body string) (r ran) {
	b.t.Helper()
	response, err := b.client.Do(b.request(method, path, body))
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	var next [2]uint64
	for frames := wire.NewFrameReader(response.Body); ; {
		f, err := frames.Next()
		if err != nil {
			if response.StatusCode != http.StatusOK {
				status, got := b.do(method, path, body)
				r.err = wire.ParseError([]byte(got), status)
				return r
			}
			b.t.Fatalf("%s %s: %v", method, path, err)
		}
		switch f.Type {
		case wire.FrameOutput:
			r.gap = r.gap || f.Offset != next[0]
			r.stdout += string(f.Payload)
			next[0] = f.Offset + uint64(len(f.Payload))
		case wire.FrameStderr:
			r.gap = r.gap || f.Offset != next[1]
			r.stderr += string(f.Payload)
			next[1] = f.Offset + uint64(len(f.Payload))
		case wire.FrameError:
			r.err = wire.ParseError(f.Payload, 0)
			return r
		case wire.FrameExit:
			if err := json.Unmarshal(f.Payload, &r.Exit); err != nil {
				b.t.Error(err)
			}
			return r
		}
	}
}

func (b *box) exec(c wire.Command) ran {
	b.t.Helper()
	body, err := json.Marshal(c)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.frames("POST", wire.PathExec, string(body))
}

func TestExec(t *testing.T) {
	b := start(t, nil)
	for _, c := range []struct {
		wire.Command
		want ran
	}{
		{wire.Command{Argv: []string{"true"}}, ran{}},
		{wire.Command{Argv: []string{"/bin/false"}}, ran{Exit: wire.Exit{Code: 1}}},
		{wire.Command{Argv: []string{"echo", "a b", "c"}}, ran{stdout: "a b c\n"}},
		{wire.Command{Command: "echo out; echo err >&2; exit 3"}, ran{stdout: "out\n", stderr: "err\n", Exit: wire.Exit{Code: 3}}},
		{wire.Command{Command: "echo out; echo err >&2; echo again", Merge: true}, ran{stdout: "out\nerr\nagain\n"}},
		{wire.Command{Command: "kill -9 $$"}, ran{Exit: wire.Exit{Code: -1, Signal: "KILL"}}},
		{wire.Command{Argv: []string{"cat"}}, ran{}},
		{wire.Command{Argv: []string{"cat"}, Stdin: "given"}, ran{stdout: "given"}},
		{wire.Command{Argv: []string{"wc", "-c"}, Stdin: strings.Repeat("x", 1<<20)}, ran{stdout: "1048576\n"}},
		{wire.Command{Command: `echo "$A$B"`, Env: map[string]string{"A": "1", "B": "2 3"}}, ran{stdout: "12 3\n"}},
		{wire.Command{Argv: []string{"pwd"}, Cwd: "/usr"}, ran{stdout: "/usr\n"}},
		{wire.Command{Command: "sleep 1000", Timeout: 0.05}, ran{Exit: wire.Exit{Code: -1, Signal: "KILL", Timeout: true}}},
		{wire.Command{Command: "tty >/dev/null && stty size", TTY: true, Cols: 101, Rows: 33}, ran{stdout: "33 101\r\n"}},
		{wire.Command{Command: "sleep 0.1; printf x"}, ran{stdout: "x"}},
	} {
		if got := b.exec(c.Command); got != c.want {
			t.Errorf("%.200v: %.200v, want %v", c.Command, got, c.want)
		}
	}
	for _, c := range []struct {
		wire.Command
		code sandbox.Code
	}{
		{wire.Command{Argv: []string{"no-such-program"}}, sandbox.NotFound},
		{wire.Command{Argv: []string{"/no/such"}}, sandbox.NotFound},
		{wire.Command{Argv: []string{"true"}, Cwd: "/no/such"}, sandbox.NotFound},
		{wire.Command{Argv: []string{"/etc/passwd"}}, sandbox.Denied},
		{wire.Command{}, sandbox.Invalid},
		{wire.Command{Argv: []string{"a"}, Command: "b"}, sandbox.Invalid},
		{wire.Command{Argv: []string{"a\x00"}}, sandbox.Invalid},
		{wire.Command{Argv: []string{"a"}, Timeout: -1}, sandbox.Invalid},
	} {
		if got := b.exec(c.Command); sandbox.CodeOf(got.err) != c.code || got.err == nil {
			t.Errorf("%v: %+v, want %s", c.Command, got, c.code)
		}
	}
}

// Output of any length comes whole to a client that reads, and what a slow one has missed shows.
func TestExecOutput(t *testing.T) {
	b := start(t, nil)
	got := b.exec(wire.Command{Command: "seq 1000000; seq 100000 >&2"})
	if len(got.stdout) != 6888896 || len(got.stderr) != 588895 || got.gap || !strings.HasSuffix(got.stdout, "\n1000000\n") {
		t.Errorf("%d and %d bytes, %v %v", len(got.stdout), len(got.stderr), got.gap, got.err)
	}
}

func TestAProcessRunsOnce(t *testing.T) {
	b := start(t, nil)
	c := wire.Command{ID: "p", Command: "echo x >>log; wc -l <log"}
	for range 3 {
		if got := b.exec(c); got.stdout != "1\n" || got.Code != 0 {
			t.Errorf("%+v", got)
		}
	}
	if status, got := b.do("POST", wire.PathProcesses, `{"command":"echo bad >>log"}`); status != http.StatusBadRequest || !strings.Contains(got, "needs an id") {
		t.Errorf("without an id: %d %s", status, got)
	}
	if got := b.exec(wire.Command{ID: "p", Command: "other"}); sandbox.CodeOf(got.err) != sandbox.Conflict {
		t.Errorf("%+v", got)
	}
	b.native("p", run("echo")).wantCode(t, sandbox.Conflict) // ids are of actions and processes together
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if got := b.exec(wire.Command{ID: "q", Command: "sleep 0.1; echo x >>log; wc -l <log"}); got.stdout != "2\n" {
				t.Errorf("%+v", got)
			}
		})
	}
	wg.Wait()
	if status, _ := b.do("DELETE", wire.PathProcesses+"/p", ""); status != http.StatusNoContent {
		t.Error(status)
	}
	if got := b.exec(c); got.err != nil || got.stdout != "" || got.Code != 0 { // its end is kept, its output is not
		t.Errorf("after it was forgotten: %+v", got)
	}
	if got := b.exec(wire.Command{ID: "r", Command: "cat log"}); got.stdout != "x\nx\n" {
		t.Errorf("%+v", got)
	}
}

func TestBackgroundProcess(t *testing.T) {
	b := start(t, nil)
	const path = wire.PathProcesses + "/p"
	var p wire.Process
	if status := b.fetch("PUT", path, `{"command":"echo begun; while read x; do echo got $x; echo err >&2; done; echo end; exit 4","open":true}`, &p); status != http.StatusCreated ||
		p.ID != "p" || p.PID == 0 || p.Exit != nil {
		t.Fatalf("%d %+v", status, p)
	}
	post := func(what, body string, want int) {
		t.Helper()
		if status, got := b.do("POST", path+what, body); status != want {
			t.Errorf("%s: %d %s", what, status, got)
		}
	}
	post("/input", "one\n", 204)
	post("/input?offset=0", "one\ntwo\n", 204) // again, and more
	post("/input?offset=99", "x", 409)
	if b.fetch("GET", path+"/wait?timeout=0", "", &p); p.Exit != nil {
		t.Errorf("%+v", p)
	}
	for _, seconds := range []string{"-1", "inf", "NaN", "1e400", "soon"} {
		if status, got := b.do("GET", path+"/wait?timeout="+seconds, ""); status != 400 {
			t.Errorf("wait for %s: %d %s", seconds, status, got)
		}
	}
	post("/input?eof=true", "three\n", 204)
	if got := b.frames("GET", path+"/output", ""); got.stdout != "begun\ngot one\ngot two\ngot three\nend\n" || got.stderr != "err\nerr\nerr\n" || got.Code != 4 {
		t.Errorf("%+v", got)
	}
	if got := b.frames("GET", path+"/output?offset=6&stderr=8&follow=false", ""); !strings.HasPrefix(got.stdout, "got one") || got.stderr != "err\n" {
		t.Errorf("%+v", got)
	}
	if got := b.frames("GET", path+"/output?stream=stderr&stderr=4", ""); got.stdout != "" || got.stderr != "err\nerr\n" || got.Code != 4 {
		t.Errorf("stderr alone: %+v", got)
	}
	if got := b.frames("GET", path+"/output?stream=stdout", ""); got.stderr != "" || !strings.HasSuffix(got.stdout, "end\n") {
		t.Errorf("stdout alone: %+v", got)
	}
	if b.fetch("GET", path+"/wait", "", &p); p.Exit == nil || p.Exit.Code != 4 || p.Stdout.Length != 36 || p.Ended == nil {
		t.Errorf("%+v", p)
	}
	if p.Usage == nil || p.Usage.MaxRSS < 100<<10 || p.Usage.User < 0 || p.Usage.User+p.Usage.System > 10 {
		t.Errorf("%+v", p.Usage)
	}
	post("/input", "late", 409)
	post("/signal", `{"signal":"TERM"}`, 409)
	var all []wire.Process
	if b.fetch("GET", wire.PathProcesses, "", &all); len(all) != 1 || all[0].ID != "p" {
		t.Errorf("%+v", all)
	}
	if status, _ := b.do("DELETE", path, ""); status != 204 {
		t.Error(status)
	}
	if b.fetch("GET", path, "", &p); p.Exit == nil || p.Exit.Code != 4 { // from the record
		t.Errorf("%+v", p)
	}
}

func TestSignals(t *testing.T) {
	b := start(t, nil)
	for i, c := range []struct{ body, want string }{
		{`{"signal":"TERM"}`, "TERM"}, {`{"signal":"sigint"}`, "INT"}, {`{"signal":"9"}`, "KILL"}, {`{"signal":"USR1","alone":true}`, "USR1"},
	} {
		path := fmt.Sprintf("%s/p%d", wire.PathProcesses, i)
		b.fetch("PUT", path, `{"argv":["sleep","1000"]}`, new(wire.Process))
		if status, got := b.do("POST", path+"/signal", c.body); status != 204 {
			t.Errorf("%d %s", status, got)
		}
		var p wire.Process
		if b.fetch("GET", path+"/wait", "", &p); p.Exit == nil || p.Exit.Signal != c.want {
			t.Errorf("%+v", p)
		}
		if status, got := b.do("POST", path+"/signal", `{"signal":"NONSENSE"}`); status != 400 {
			t.Errorf("%d %s", status, got)
		}
	}
}

// Whatever a process has started ends when it is forgotten, and with the server.
func TestProcessesLeaveNothing(t *testing.T) {
	b := start(t, nil)
	const script = `{"command":"setsid sleep 1000 & sleep 1001 & echo $! $$; [ -n \"$1\" ] || wait"}`
	var pids []reap.Proc
	for _, id := range []string{"a", "b"} {
		b.fetch("PUT", wire.PathProcesses+"/"+id, script, new(wire.Process))
		for out := ""; !strings.HasSuffix(out, "\n"); {
			out = ""
			_, got := b.do("GET", wire.PathProcesses+"/"+id+"/output?follow=false", "")
			for fr := wire.NewFrameReader(strings.NewReader(got)); ; {
				f, err := fr.Next()
				if err != nil {
					break
				}
				out += string(f.Payload)
			}
			if strings.HasSuffix(out, "\n") {
				for _, pid := range strings.Fields(out) {
					p, err := reap.Stat(pidOf(t, pid+"."))
					if err != nil {
						t.Fatal(err)
					}
					pids = append(pids, p)
				}
			}
		}
	}
	if status, _ := b.do("DELETE", wire.PathProcesses+"/a", ""); status != 204 {
		t.Error(status)
	}
	gone := func(pids []reap.Proc) {
		t.Helper()
		for _, p := range pids {
			exe, err := os.Readlink("/proc/" + strconv.Itoa(p.PID) + "/exe") // what is dead has none
			if now, gone := reap.Stat(p.PID); err == nil && gone == nil && now.Start == p.Start {
				t.Errorf("%+v is left: %s", p, exe)
			}
		}
	}
	gone(pids[:2])
	begun := time.Now()
	b.stop()
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("the stop took %v", took)
	}
	gone(pids)
}

// What outlives a process in the background goes on until the process is forgotten.
func TestWhatAProcessLeavesRunsOn(t *testing.T) {
	b := start(t, nil)
	if got := b.exec(wire.Command{ID: "p", Command: "(sleep 0.2; touch late; sleep 1000) & echo done"}); got.stdout != "done\n" {
		t.Errorf("%+v", got)
	}
	b.await("late")
	if status, _ := b.do("DELETE", wire.PathProcesses+"/p", ""); status != 204 {
		t.Error(status)
	}
	if got := b.exec(wire.Command{Command: "(sleep 0.2; touch late2) & echo done"}); got.stdout != "done\n" { // nobody could end it, so it ends now
		t.Errorf("%+v", got)
	}
	time.Sleep(300 * time.Millisecond)
	b.native("a", run("ls late2")).wantNot(t, "late2\n")
}

// A process without an id ends with its client.
func TestExecEndsWithItsClient(t *testing.T) {
	b := start(t, nil)
	r, err := b.client.Do(b.request("POST", wire.PathExec, `{"command":"echo $$; while echo; do sleep 0.01; done"}`))
	if err != nil {
		t.Fatal(err)
	}
	f, err := wire.NewFrameReader(r.Body).Next()
	if err != nil {
		t.Fatal(err)
	}
	pid := pidOf(t, strings.Fields(string(f.Payload))[0]+".")
	r.Body.Close()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if _, err := reap.Stat(pid); err != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it lives on")
		}
	}
}

// The next server says of the processes of one that has stopped how they ended.
func TestProcessesAfterAStop(t *testing.T) {
	dir := t.TempDir()
	b := start(t, func(c *server.Config) { c.StateDir = dir })
	if got := b.exec(wire.Command{ID: "p", Command: "echo x; exit 5"}); got.Code != 5 {
		t.Fatalf("%+v", got)
	}
	b.fetch("PUT", wire.PathProcesses+"/q", `{"argv":["sleep","1000"]}`, new(wire.Process))
	b.stop()
	b = start(t, func(c *server.Config) { c.StateDir = dir })
	if got := b.exec(wire.Command{ID: "p", Command: "echo x; exit 5"}); got.Code != 5 || got.stdout != "" {
		t.Errorf("%+v", got)
	}
	var q wire.Process
	if b.fetch("GET", wire.PathProcesses+"/q", "", &q); q.Exit == nil || q.Exit.Signal != "KILL" {
		t.Errorf("%+v", q)
	}
}
