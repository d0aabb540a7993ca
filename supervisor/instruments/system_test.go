package instruments_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/local"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// open opens a System with sandboxes on this machine, of which nothing is left after the test.
func open(t *testing.T, change func(*supervisor.Config)) *supervisor.System {
	t.Helper()
	leak.Check(t)
	program := sandboxdtest.Binary(t)
	dir, err := os.MkdirTemp("", "st") // short, for the sockets below it
	if err != nil {
		t.Fatal(err)
	}
	driver := func() *local.Driver {
		d, err := local.New(local.Config{StateDir: dir, Sandboxd: program, Environ: []string{"PATH=" + os.Getenv("PATH")}})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	t.Cleanup(func() {
		d := driver()
		list, err := d.List(context.Background(), "")
		for _, l := range list {
			err = errors.Join(err, d.Remove(context.Background(), l.ID, backends.AnyEpoch, 0))
		}
		if err := errors.Join(err, d.Close(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	c := supervisor.Config{StateDir: dir, Drivers: map[string]backends.Driver{"local": driver()}}
	if change != nil {
		change(&c)
	}
	s, err := supervisor.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// run runs a command in a runtime of the System.
func run(t *testing.T, ctx context.Context, s *supervisor.System, id sandbox.ID, command string) {
	t.Helper()
	rt, err := s.Runtime(ctx, sandbox.Spec{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Run(ctx, command, nil); err != nil {
		t.Fatal(err)
	}
}
