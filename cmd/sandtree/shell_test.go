package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// screen is a terminal with a program on it.
type screen struct {
	*os.File
	t    *testing.T
	seen bytes.Buffer
}

func (u *user) shell(args ...string) (*screen, func() int) {
	u.t.Helper()
	cmd := u.command(args...)
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: 90, Rows: 30})
	if err != nil {
		u.t.Fatal(err)
	}
	alarm := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	u.t.Cleanup(func() { alarm.Stop(); f.Close() })
	return &screen{File: f, t: u.t}, func() int {
		_, _ = io.Copy(io.Discard, f) // until it is gone
		_ = cmd.Wait()
		return cmd.ProcessState.ExitCode()
	}
}

// until waits for words on the screen.
func (s *screen) until(words string) string {
	s.t.Helper()
	buf := make([]byte, 4096)
	for {
		if i := strings.Index(s.seen.String(), words); i >= 0 {
			return string(s.seen.Next(i + len(words)))
		}
		n, err := s.Read(buf)
		s.seen.Write(buf[:n])
		if err != nil {
			s.t.Fatalf("%v waiting for %q after:\n%s", err, words, s.seen.String())
		}
	}
}

func (s *screen) keys(text string) {
	s.t.Helper()
	if _, err := s.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

func TestShell(t *testing.T) {
	u := newUser(t)
	s, wait := u.shell("shell")
	s.until("does not isolate")
	s.keys("echo si''ze; stty size; pwd\r")
	s.until("size\r\n30 90\r\n" + u.state)
	if err := pty.Setsize(s.File, &pty.Winsize{Cols: 50, Rows: 20}); err != nil {
		t.Fatal(err)
	}
	s.keys("while [ \"$(stty size)\" != '20 50' ]; do sleep 0.05; done; echo res''ized\r")
	s.until("resized")
	s.keys("sh -c 'echo sleep\"\"ing; exec sleep 60'\r") // one process: between two, bash can miss the key, as everywhere
	s.until("sleeping\r\n")
	s.keys("\x03") // the key goes there, and ends the sleep
	s.keys("echo inter''rupted $?\r")
	s.until("interrupted 130")
	s.keys("exit 5\r")
	if code := wait(); code != 5 {
		t.Errorf("exit status %d, want 5", code)
	}
}

func TestShellInAKeptRuntime(t *testing.T) {
	u := newUser(t)
	u.run("run", "--keep", "--id", "web", "echo here > file").want(t, 0)
	s, wait := u.shell("shell", "web")
	s.keys("cat file; echo more >> file; PS1='rea''dy> '\r")
	s.until("here\r\n")
	s.until("ready> ")
	s.keys("\x04") // end of input
	if code := wait(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	u.run("run", "--id", "web", "cat file").want(t, 0, "here\nmore\n")
	u.run("rm", "web").want(t, 0)
	u.run("shell", "web").want(t, 125).wantErr(t, "no terminal")
	_, wait = u.shell("shell", "web")
	if code := wait(); code != 125 {
		t.Errorf("a shell in a runtime that is gone: exit status %d", code)
	}
}

func TestRunOnATerminal(t *testing.T) {
	u := newUser(t)
	s, wait := u.shell("run", "printf 'a\\nb\\n'; sleep 60")
	s.until("does not isolate")
	s.until("a\r\nb\r\n")
	s.keys("\x03")
	if code := wait(); code != 130 {
		t.Errorf("exit status %d, want 130", code)
	}
	u.env = append(u.env, "NO_COLOR=1")
	s, wait = u.shell("run", "true")
	if seen := s.until("does not isolate"); strings.Contains(seen, "\x1b") {
		t.Errorf("colour: %q", seen)
	}
	wait()
}
