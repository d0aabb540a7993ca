package docker

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// opened opens a driver, which is closed when the test ends, after all that it has left was removed.
func opened(t testing.TB, c Config) (*Driver, *backends.Backend) {
	t.Helper()
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	b := backends.Open("docker", d, backends.Config{})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		left, err := b.List(ctx, "")
		if err != nil {
			t.Error(err)
		}
		for _, l := range left {
			if err := b.Remove(ctx, l.ID, backends.AnyEpoch, 0); err != nil {
				t.Error(err)
			}
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return d, b
}

func started(t testing.TB, b *backends.Backend, spec sandbox.Spec) (*backends.Sandbox, *instance) {
	t.Helper()
	s, err := b.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, s.Instance().(*instance)
}

// run runs a command, and gives what it printed and its exit code.
func run(t testing.TB, s *backends.Sandbox, command string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	o, err := s.Do(ctx, sandbox.Action{Args: sandbox.RunArgs{Command: command, Blocking: true}}, nil)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	r, ok := o.Result.(sandbox.RunResult)
	if !ok {
		t.Fatalf("%s: %+v", command, o)
	}
	return strings.TrimSpace(o.Content), r.Metadata.ExitCode
}

// prints checks what a command prints.
func prints(t testing.TB, s *backends.Sandbox, command, want string) {
	t.Helper()
	if got, code := run(t, s, command); got != want {
		t.Errorf("%s: %q with code %d, want %q", command, got, code, want)
	}
}

// refused checks that a command fails with such words.
func refused(t testing.TB, s *backends.Sandbox, command, words string) {
	t.Helper()
	got, code := run(t, s, command)
	if code == 0 || !strings.Contains(got, words) {
		t.Errorf("%s: %q with code %d, want a failure with %q", command, got, code, words)
	}
}

// ends waits until a sandbox has ended.
func ends(t testing.TB, s *backends.Sandbox) sandbox.Exit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	exit, err := s.Wait(ctx)
	if err != nil {
		t.Fatalf("Wait: %v", err)
	}
	return exit
}
