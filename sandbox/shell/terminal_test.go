package shell

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
)

// until reads from r until what came contains end.
func until(t *testing.T, r io.Reader, end string) string {
	t.Helper()
	var got []byte
	buf := make([]byte, 4096)
	for !bytes.Contains(got, []byte(end)) {
		n, err := r.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			t.Fatalf("%v after %q", err, got)
		}
	}
	return string(got)
}

func TestTerminal(t *testing.T) {
	need.Tool(t, "bash")
	leak.Check(t)
	var started int
	term, err := OpenTerminal(Config{Dir: t.TempDir(), Env: append(environ(t.TempDir()), "PS1=> "), OnStart: func(pid int) { started = pid }}, 80, 24)
	if err != nil {
		t.Fatal(err)
	}
	defer term.Close()
	if started <= 0 {
		t.Error("OnStart was not called")
	}
	say := func(line string) {
		if _, err := term.Write([]byte(line + "\r")); err != nil {
			t.Fatal(err)
		}
	}
	say("stty size; echo en''d")
	if got := until(t, term, "end"); !strings.Contains(got, "24 80") {
		t.Errorf("%q", got)
	}
	if err := term.Resize(100, 50); err != nil {
		t.Fatal(err)
	}
	say("stty size; ls /proc/self/fd | wc -l; echo en''d2")
	if got := until(t, term, "end2"); !strings.Contains(got, "50 100") {
		t.Errorf("%q", got)
	}
	say("sleep 1000 & disown; echo en''d3")
	until(t, term, "end3")
	say("exit 7")
	if rest, err := io.ReadAll(term); err != nil || !bytes.Contains(rest, []byte("exit")) {
		t.Errorf("%q %v", rest, err)
	}
	if code := term.Wait(); code != 7 {
		t.Errorf("exit code %d", code)
	}
	if err := term.Close(); err != nil {
		t.Error(err)
	}
}

func TestTerminalClosed(t *testing.T) {
	leak.Check(t)
	c := Config{Env: environ(t.TempDir()), Processes: 1000}
	term, err := OpenTerminal(c, 80, 24)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := term.Write([]byte("ulimit -u; sleep 1000\r")); err != nil {
		t.Fatal(err)
	}
	until(t, term, "1000\r\n")
	if err := term.Close(); err != nil {
		t.Error(err)
	}
	if code := term.Wait(); code != 137 {
		t.Errorf("exit code %d", code)
	}
	if err := term.Close(); err != nil {
		t.Error(err)
	}
	if _, err := OpenTerminal(Config{Dir: "/no/such"}, 80, 24); err == nil {
		t.Error("opened in a directory that is not there")
	}
}
