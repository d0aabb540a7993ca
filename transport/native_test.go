package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/transport"
)

func native(t *testing.T) (dir string, c *transport.Client) {
	leak.Check(t)
	dir, dial := real(t)
	return dir, ready(t, dial, transport.Config{Key: "key"})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFilesBeyond(t *testing.T) {
	dir, c := native(t)
	ctx := t.Context()
	must(t, c.Mkdir(ctx, wire.Mkdir{Path: "a/b"}))
	must(t, c.PutFile(ctx, "a/b/f", strings.NewReader("0123456789"), transport.PutOptions{Mode: 0o640, Checked: true}))
	s, err := c.Stat(ctx, "a/b/f", true)
	if err != nil || s.Type != "file" || s.Size != 10 || s.Mode != "0640" || s.MTime.Location() != time.UTC {
		t.Errorf("%+v, %v", s, err)
	}
	var part bytes.Buffer
	must(t, c.GetRange(ctx, "a/b/f", 3, 4, &part))
	must(t, c.GetRange(ctx, "a/b/f", 8, -1, &part))
	if part.String() != "345689" {
		t.Errorf("ranges: %q", part.String())
	}
	wantCode(t, c.GetRange(ctx, "a/b/f", 10, -1, io.Discard), sandbox.Invalid)
	must(t, c.WriteAt(ctx, "a/b/f", 2, strings.NewReader("xy")))
	must(t, c.Chmod(ctx, wire.Chmod{Path: "a/b/f", Mode: "600"}))
	must(t, c.Move(ctx, wire.Move{From: "a/b/f", To: "c/g"}))
	if b, err := os.ReadFile(filepath.Join(dir, "c/g")); err != nil || string(b) != "01xy456789" {
		t.Errorf("%q, %v", b, err)
	}
	wantCode(t, c.Remove(ctx, wire.Remove{Path: "c"}), sandbox.Conflict)
	must(t, c.Remove(ctx, wire.Remove{Path: "c", Recursive: true}))
	_, err = c.Stat(ctx, "c", true)
	wantCode(t, err, sandbox.NotFound)
}

func TestProcesses(t *testing.T) {
	_, c := native(t)
	ctx := t.Context()
	var out, errs strings.Builder
	collect := transport.Outputs{
		Stdout: func(_ int64, p []byte) { out.Write(p) },
		Stderr: func(_ int64, p []byte) { errs.Write(p) },
	}
	exit, err := c.Exec(ctx, wire.Command{Command: "echo out; echo err >&2; cat; exit 3", Stdin: "in"}, collect)
	if err != nil || exit.Code != 3 || out.String() != "out\nin" || errs.String() != "err\n" {
		t.Errorf("%+v, %v: %q, %q", exit, err, out.String(), errs.String())
	}
	_, err = c.Exec(ctx, wire.Command{Argv: []string{"no-such-program"}}, collect)
	wantCode(t, err, sandbox.NotFound)

	p, err := c.StartProcess(ctx, wire.Command{ID: "bg", Command: "read x; echo got $x; read y; sleep 100", Open: true})
	if err != nil || p.ID != "bg" || p.PID == 0 || p.Exit != nil {
		t.Fatalf("%+v, %v", p, err)
	}
	must(t, c.WriteProcess(ctx, "bg", 0, []byte("he"), false))
	must(t, c.WriteProcess(ctx, "bg", 0, []byte("hello\n"), false)) // as after a cut: what has come before is left out
	out.Reset()
	following := make(chan error, 1)
	arrived := make(chan struct{})
	go func() {
		_, err := c.FollowProcess(ctx, "bg", 4, 0, transport.Outputs{Stdout: func(_ int64, p []byte) {
			if out.Write(p); strings.HasSuffix(out.String(), "\n") {
				close(arrived)
			}
		}})
		following <- err
	}()
	<-arrived
	if out.String() != "hello\n" {
		t.Errorf("output from byte 4: %q", out.String())
	}
	must(t, c.SignalProcess(ctx, "bg", wire.Signal{Signal: "TERM"}))
	p, err = c.WaitProcess(ctx, "bg")
	if err != nil || p.Exit == nil || p.Exit.Signal != "TERM" || p.Exit.Code != -1 || p.Stdout.Length != 10 {
		t.Errorf("%+v, %+v, %v", p, p.Exit, err)
	}
	must(t, <-following)
	if all, err := c.Processes(ctx); err != nil || len(all) == 0 {
		t.Errorf("%v, %v", all, err)
	}
	must(t, c.EndProcess(ctx, "bg"))
}

// Sessions have a directory and variables of their own.
func TestSessions(t *testing.T) {
	_, c := native(t)
	ctx := t.Context()
	for _, kind := range []string{"pty", "pipe"} {
		s, err := c.OpenSession(ctx, kind, wire.SessionSpec{Kind: kind, Env: map[string]string{"K": kind}})
		if err != nil || s.Kind != kind {
			t.Fatalf("%+v, %v", s, err)
		}
		action := run("", "echo $K")
		action.Session = kind
		if o, err := c.Do(ctx, action, nil); err != nil || strings.TrimSpace(o.Content) != kind {
			t.Errorf("%s: %q, %v", kind, o.Content, err)
		}
	}
	all, err := c.Sessions(ctx)
	if err != nil || len(all) != 3 || all[0].Name != "" {
		t.Errorf("%+v, %v", all, err)
	}
	must(t, c.EndSession(ctx, "pipe"))
	wantCode(t, c.EndSession(ctx, "pipe"), sandbox.NotFound)
}

func TestPort(t *testing.T) {
	_, c := native(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "hello\n")
		line, _ := bufio.NewReader(conn).ReadString('\n')
		fmt.Fprint(conn, "you said "+line)
	}()
	conn, err := c.Port(t.Context(), l.Addr().(*net.TCPAddr).Port)
	must(t, err)
	defer conn.Close()
	fmt.Fprint(conn, "x\n")
	b, err := io.ReadAll(conn)
	if err != nil || string(b) != "hello\nyou said x\n" {
		t.Errorf("%q, %v", b, err)
	}
	_, err = c.Port(t.Context(), 0)
	wantCode(t, err, sandbox.Invalid)
}

func TestWhatTheServerTells(t *testing.T) {
	_, c := native(t)
	i, err := c.Info(t.Context())
	if err != nil || i.Version != wire.Version || i.Workspace == "" {
		t.Errorf("%+v, %v", i, err)
	}
	if b, err := c.Metrics(t.Context()); err != nil || !bytes.Contains(b, []byte("# TYPE ")) {
		t.Errorf("%.200q, %v", b, err)
	}
	if v, err := c.Version(t.Context()); err != nil || v.Newest != wire.Version || v.Oldest != wire.OldestVersion {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := c.Ports(t.Context()); err != nil {
		t.Error(err)
	}
}

// What version 2 brought is Unsupported by an old server, and not asked of it twice.
func TestOldServersLackTheNew(t *testing.T) {
	f := &fake{perform: echo, newest: 1}
	c, _ := f.start(t, transport.Config{})
	for range 2 {
		_, err := c.Exec(t.Context(), wire.Command{Command: "true"}, transport.Outputs{})
		wantCode(t, err, sandbox.Unsupported)
		if !strings.Contains(err.Error(), "use a newer sandboxd") {
			t.Error(err)
		}
	}
	if n := len(f.seen()); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

var errEnough = errors.New("enough")

func TestSearch(t *testing.T) {
	dir, c := native(t)
	must(t, os.WriteFile(filepath.Join(dir, "a.go"), []byte("package a\n\nfunc A() {}\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "b.txt"), []byte("func\nfunc\n"), 0o644))
	g, err := c.Glob(t.Context(), wire.Glob{Pattern: "**/*.go"})
	if err != nil || len(g.Paths) != 1 || g.Paths[0] != "a.go" {
		t.Errorf("%+v, %v", g, err)
	}
	var found []wire.GrepMatch
	end, err := c.Grep(t.Context(), wire.Grep{Pattern: "^func"}, func(m wire.GrepMatch) error { found = append(found, m); return nil })
	if err != nil || len(found) != 3 || end.Matches != 3 || !end.Done {
		t.Errorf("%+v, %+v, %v", found, end, err)
	}
	_, err = c.Grep(t.Context(), wire.Grep{Pattern: "("}, func(wire.GrepMatch) error { return nil })
	wantCode(t, err, sandbox.Invalid)
	_, err = c.Grep(t.Context(), wire.Grep{Pattern: "func"}, func(wire.GrepMatch) error { return errEnough })
	if !errors.Is(err, errEnough) {
		t.Error(err)
	}
}

func TestWatch(t *testing.T) {
	dir, c := native(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var events []string
	err := c.Watch(ctx, "", true, func(e wire.WatchEvent) error {
		events = append(events, e.Type+" "+e.Path)
		switch {
		case e.Type == "ready":
			return os.WriteFile(filepath.Join(dir, "new"), []byte("x"), 0o644)
		case e.Path == "new":
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) || len(events) != 2 || events[1] != "created new" {
		t.Errorf("%q, %v", events, err)
	}
}
