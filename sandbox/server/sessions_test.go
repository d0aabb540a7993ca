package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// in performs a command in a session.
func (b *box) in(session, id, command string) seen {
	b.t.Helper()
	a := sandbox.Action{Session: session, Args: sandbox.RunArgs{Command: command, Blocking: true}}
	return b.follow(b.request("POST", wire.PathActions+id, string(wire.AppendAction(nil, a))))
}

// fetch sends a request and decodes the answer into v; it gives the status.
func (b *box) fetch(method, path, body string, v any) int {
	b.t.Helper()
	status, got := b.do(method, path, body)
	if v != nil {
		if err := json.Unmarshal([]byte(got), v); err != nil {
			b.t.Errorf("%s %s: %d %s: %v", method, path, status, got, err)
		}
	}
	return status
}

func TestNamedSessions(t *testing.T) {
	b := start(t, nil)
	b.native("m", run("x=main; cd /")).wantRun(t, 0, "")
	var s wire.Session
	if status := b.fetch("PUT", wire.PathSessions+"/p", `{"kind":"pipe","cwd":"/usr","env":{"A":"1 2"}}`, &s); status != http.StatusCreated ||
		s.Kind != "pipe" || s.Cwd != "/usr" || s.PID == 0 || s.Busy || s.Started.IsZero() {
		t.Errorf("%d %+v", status, s)
	}
	if status := b.fetch("PUT", wire.PathSessions+"/p", `{"kind":"pipe","cwd":"/usr","env":{"A":"1 2"}}`, &s); status != http.StatusOK {
		t.Errorf("again: %d", status)
	}
	if status, got := b.do("PUT", wire.PathSessions+"/p", ``); status != http.StatusConflict {
		t.Errorf("another: %d %s", status, got)
	}
	b.in("p", "p1", `echo "[$x] $A $PWD"; x=p; tty`).wantRun(t, 1, "[] 1 2 /usr\nnot a tty")
	b.in("q", "q1", `echo "[$x] ${PWD##*/}"; x=q; cd /tmp; tty | cut -c1-8`).wantRun(t, 0, "[] work\n/dev/pts") // made by its name
	b.in("p", "p2", `echo $x`).wantRun(t, 0, "p")
	b.in("q", "q2", `echo $x`).wantRun(t, 0, "q")
	b.native("m2", run("echo $x")).wantRun(t, 0, "main")
	var all []wire.Session
	b.fetch("GET", wire.PathSessions, "", &all)
	if len(all) != 3 || all[0].Name != "" || all[0].Cwd != "/" || all[1].Name != "p" || all[2].Name != "q" || all[2].Cwd != "/tmp" || all[2].Used.Before(all[2].Started) {
		t.Errorf("%+v", all)
	}
	if status, _ := b.do("DELETE", wire.PathSessions+"/p", ""); status != http.StatusNoContent {
		t.Errorf("delete: %d", status)
	}
	if status, _ := b.do("GET", wire.PathSessions+"/p", ""); status != http.StatusNotFound {
		t.Errorf("after that: %d", status)
	}
	b.in("p", "p3", `echo "[$x]"`).wantRun(t, 0, "[]")
}

// What runs in a session that is ended ends with it, and is not said to have ended by itself.
func TestDeletingASessionInterrupts(t *testing.T) {
	b := start(t, nil)
	for _, kind := range []string{"pty", "pipe"} {
		b.fetch("PUT", wire.PathSessions+"/"+kind, `{"kind":"`+kind+`"}`, new(wire.Session))
		var wg sync.WaitGroup
		wg.Go(func() {
			if s := b.in(kind, "a"+kind, "touch begun-"+kind+"; sleep 1000; touch bad"); !s.Interrupted() {
				t.Errorf("%s: %+v", kind, s)
			}
		})
		b.await("begun-" + kind)
		var s wire.Session
		if b.fetch("GET", wire.PathSessions+"/"+kind, "", &s); !s.Busy {
			t.Errorf("%+v", s)
		}
		if status, got := b.do("DELETE", wire.PathSessions+"/"+kind, ""); status != http.StatusNoContent {
			t.Errorf("%d %s", status, got)
		}
		wg.Wait()
	}
	b.native("m", run("ls | grep bad")).wantRun(t, 1, "")
}

func TestSessionsAreBounded(t *testing.T) {
	b := start(t, nil)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 32 {
				if status, got := b.do("PUT", fmt.Sprintf("%s/s%d", wire.PathSessions, 32*i+j), `{"kind":"pipe"}`); status != http.StatusCreated {
					t.Errorf("%d %s", status, got)
				}
			}
		})
	}
	wg.Wait()
	status, got := b.do("PUT", wire.PathSessions+"/more", `{"kind":"pipe"}`)
	if status != http.StatusTooManyRequests || !strings.Contains(got, "end one") {
		t.Errorf("%d %s", status, got)
	}
	b.in("more", "a", "echo").wantCode(t, sandbox.Exhausted)
	b.in("s7", "b", "echo here").wantRun(t, 0, "here")
}

func TestBadSessions(t *testing.T) {
	b := start(t, nil)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"PUT", "/a", `{"kind":"tree"}`, 400},
		{"PUT", "/a", `{"wings":2}`, 400},
		{"PUT", "/a", `{} {}`, 400},
		{"PUT", "/a", `[`, 400},
		{"PUT", "/a", `{"env":{"A=B":"x"}}`, 400},
		{"PUT", "/a", `{"env":{"SANDTREE_SANDBOX":"x"}}`, 400},
		{"PUT", "/a", `{"cwd":"a\u0000"}`, 400},
		{"PUT", "/a", `{"cwd":"/no/such/place"}`, 404},
		{"PUT", "/", ``, 400},
		{"PUT", "/-a", ``, 400},
		{"PUT", "/a/b", ``, 400},
		{"GET", "/a", ``, 404},
		{"DELETE", "/a", ``, 404},
		{"POST", "/a", ``, 405},
		{"DELETE", "", ``, 405},
	} {
		if status, got := b.do(c.method, wire.PathSessions+c.path, c.body); status != c.status {
			t.Errorf("%s %s %s: %d %s; want %d", c.method, c.path, c.body, status, got, c.status)
		}
	}
}

// Variables that come later reach sessions that come later, and shells that take the place of others.
func TestSessionsGetNewVariables(t *testing.T) {
	b := start(t, nil)
	b.in("old", "a", "true").wantRun(t, 0, "")
	if status, got := b.do("PUT", wire.PathEnv, "LATE=yes\x00"); status != http.StatusNoContent {
		t.Fatal(got)
	}
	b.in("new", "b", "echo $LATE").wantRun(t, 0, "yes")
	b.in("old", "c", "echo [$LATE]; exit 3").wantRun(t, 3, "[]")
	b.in("old", "d", "echo [$LATE]").wantRun(t, 0, "[yes]")
}
