package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// callable is a server that waits for what it is to be told, on its standard input or by a call.
type callable struct {
	*exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	errs bytes.Buffer
	root string
}

func startCallable(t *testing.T) *callable {
	t.Helper()
	need.Tool(t, "bash")
	root, err := os.MkdirTemp("", "call-") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	c := &callable{root: root, Cmd: exec.Command(sandboxdtest.Binary(t), "--listen", "unix:"+root+"/sock", "--working-dir", root+"/work",
		"--state-dir", root+"/state", "--env-file", "-", "--call-socket", root+"/call", "--ready-fd", "1", "--announce")}
	c.Env = append(os.Environ(), "HOME="+root)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if c.in, err = c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	c.out, c.Stderr = bufio.NewReader(out), &c.errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	alarm := time.AfterFunc(time.Minute, func() { _ = c.Process.Kill() })
	t.Cleanup(func() { alarm.Stop(); _ = c.Process.Kill(); _ = c.Wait() })
	if w, err := c.out.ReadByte(); w != 'w' {
		t.Fatalf("it has said %q, %v, and not that it waits: %s", w, err, &c.errs)
	}
	return c
}

func (c *callable) call(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", filepath.Join(c.root, "call"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// serves says that it serves, and that nobody can call it any more.
func (c *callable) serves(t *testing.T) {
	t.Helper()
	conn, err := net.Dial("unix", filepath.Join(c.root, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET /alive HTTP/1.0\r\nHost: sandbox\r\n\r\n")
	if b, err := io.ReadAll(conn); !strings.HasPrefix(string(b), "HTTP/1.1 200") {
		t.Errorf("it answers %q, %v", b, err)
	}
	if _, err := os.Lstat(filepath.Join(c.root, "call")); !os.IsNotExist(err) {
		t.Errorf("it can still be called: %v", err)
	}
}

func TestCalled(t *testing.T) {
	c := startCallable(t)
	conn := c.call(t)
	for _, part := range []string{"A=1", "\x00SANDBOXD_KEY=ab\x00", "\x00"} {
		if _, err := io.WriteString(conn, part); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := io.ReadAll(conn); string(b) != "\n" { // the end of the call with it
		t.Fatalf("it has told the caller %q, %v: %s", b, err, &c.errs)
	}
	c.serves(t)
	c.in.Close() // which is nobody's by now
	c.serves(t)
}

func TestNotCalled(t *testing.T) {
	for _, connected := range []bool{false, true} {
		c := startCallable(t)
		if connected { // and says nothing
			c.call(t)
		}
		if _, err := io.WriteString(c.in, "A=1\x00SANDBOXD_KEY=ab\x00\x00"); err != nil {
			t.Fatal(err)
		}
		if b, err := c.out.ReadByte(); b != '\n' {
			t.Fatalf("it has said %q, %v: %s", b, err, &c.errs)
		}
		c.serves(t)
	}
}

// Whoever called it has died before it had said all, or wants no server.
func TestCallCutOff(t *testing.T) {
	for said, want := range map[string]string{"": "before anything was said", "A=1\x00": "before all was said", "A=1\x00SANDBOXD_KEY=ab": "before all was said"} {
		c := startCallable(t)
		conn := c.call(t)
		if _, err := io.WriteString(conn, said); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		_ = c.Wait()
		if c.ProcessState.ExitCode() != 2 || !strings.Contains(c.errs.String(), want) {
			t.Errorf("%q: %v, %s", said, c.ProcessState, &c.errs)
		}
		for _, name := range []string{"call", "sock", "state/sessions"} {
			if _, err := os.Lstat(filepath.Join(c.root, name)); !os.IsNotExist(err) {
				t.Errorf("%q: %s is left: %v", said, name, err)
			}
		}
	}
}
