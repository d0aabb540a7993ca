package local

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The tests of this file's neighbours need a server that misbehaves, so this test program can be one: a script sets
// LOCAL_STUB to what it shall do and becomes it.
func TestMain(m *testing.M) {
	if mode := os.Getenv("LOCAL_STUB"); mode != "" {
		if mode == "controller" {
			os.Exit(controller())
		}
		os.Exit(stub(mode))
	}
	os.Exit(m.Run())
}

// stub is a sandboxd that serves nothing: what it says on a connection is its arguments and environment.
func stub(mode string) int {
	if mode == "die" {
		fmt.Fprintln(os.Stderr, "first word\nlast word")
		return 3
	}
	if mode == "mute" {
		exec.Command("sleep", "100011").Start()
		select {}
	}
	sock := strings.TrimPrefix(flagOf("--listen"), "unix:")
	l, err := net.Listen("unix", sock)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if _, err := os.ReadFile(flagOf("--key-file")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	secrets, err := os.ReadFile(flagOf("--env-file"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ask := make(chan os.Signal, 1)
	if mode == "deaf" {
		signal.Ignore(syscall.SIGTERM)
	} else {
		signal.Notify(ask, syscall.SIGTERM)
	}
	ready := os.NewFile(3, "ready")
	ready.Write([]byte{1})
	ready.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintf(c, "args %q\nenviron %q\nfile %q\n", os.Args[1:], os.Environ(), secrets)
			c.Close()
		}
	}()
	<-ask
	return 7
}

func flagOf(name string) string {
	if i := slices.Index(os.Args, name); i >= 0 && i+1 < len(os.Args) {
		return os.Args[i+1]
	}
	return ""
}

// stubbed gives the path of a sandboxd that does what mode says.
func stubbed(t testing.TB, mode string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "sandboxd")
	script := fmt.Sprintf("#!/bin/sh\nLOCAL_STUB=%s exec '%s' \"$@\"\n", mode, self)
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
