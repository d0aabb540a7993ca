package gvisor_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
)

// TestDoorsInWorkspaces has a socket and a FIFO of the host in a workspace: neither leads out. Those that a program makes there
// do what they do elsewhere.
func TestDoorsInWorkspaces(t *testing.T) {
	need.GVisor(t)
	need.Tool(t, "python3")
	dir, err := os.MkdirTemp("", "out-") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", filepath.Join(dir, "theirs"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	pipe, err := unix.Open(filepath.Join(dir, "pipe"), unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe)
	for _, name := range []string{"theirs", "pipe"} {
		if err := os.Chmod(filepath.Join(dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	b := backends.Open("gvisor", open(t, t.TempDir()), backends.Config{})
	ends(t, b, "x")
	s := began(t, b, sandbox.Spec{ID: "x", Workspace: dir})
	got := run(t, s, `python3 -c 'import socket as s, os
def own(p):
    l = s.socket(s.AF_UNIX); l.bind(p); l.listen(); return l
def to(p):
    c = s.socket(s.AF_UNIX); c.connect(p); return c
l = own("ours"); to("ours").send(b"x"); print("ours", l.accept()[0].recv(9))
try: to("theirs"); print("connected")
except OSError as e: print("theirs", e.errno)
try:
    f = os.open("pipe", os.O_WRONLY | os.O_NONBLOCK); os.write(f, b"out"); print("written")
except OSError as e: print("pipe", e.errno)'`)
	if !strings.HasPrefix(got, "ours b'x'") || !strings.Contains(got, "theirs ") {
		t.Errorf("it says %q", got)
	}
	if n, err := unix.Read(pipe, make([]byte, 9)); err != unix.EAGAIN {
		t.Errorf("%d bytes came out of the pipe, %v; it says %q", n, err, got)
	}
	t.Log(got)
}
