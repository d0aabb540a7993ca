package jail_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/sandbox"
)

// TestShownState asks to be shown the directory with the keys of all sandboxes.
func TestShownState(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	b := backends.Open("jail", open(t, state), backends.Config{})
	ends(t, b, "x")
	for _, work := range []string{"/", dir, state, filepath.Join(state, "jail")} {
		if s, err := b.Start(t.Context(), sandbox.Spec{ID: "x", Workspace: work}); sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("in %s: %v", work, err)
			if err == nil {
				s.Close()
			}
		}
	}
	for _, c := range []jail.Config{{StateDir: state, Root: "/"}, {StateDir: state, Paths: []string{dir}}} {
		if _, err := jail.New(c); sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("%+v: %v", c, err)
		}
	}
	// Its own is there already, and can be asked for.
	s := began(t, b, sandbox.Spec{ID: "x"})
	if err := s.Instance().(backends.Halter).Halt(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = began(t, b, sandbox.Spec{ID: "x", Workspace: filepath.Join(state, "jail/x/workspace")})
	if got := run(t, s, "pwd"); got != "/workspace" {
		t.Errorf("it works in %q", got)
	}
}

// TestWorkspaceThatLeadsAway makes the workspace, and what it is in, a link to elsewhere after the sandbox has been in it.
func TestWorkspaceThatLeadsAway(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "elsewhere/work")
	for _, d := range []string{secret, filepath.Join(dir, "project/work")} {
		if err := os.MkdirAll(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(secret, "secret"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("project", link); err != nil {
		t.Fatal(err)
	}
	b := backends.Open("jail", open(t, t.TempDir()), backends.Config{})
	ends(t, b, "x")
	spec := sandbox.Spec{ID: "x", Workspace: filepath.Join(link, "work")}
	again := func() (*backends.Sandbox, error) {
		s, err := b.Attach(t.Context(), "x", 0)
		if err == nil {
			err = s.Instance().(backends.Halter).Halt(t.Context())
			s.Close()
		}
		if err != nil && sandbox.CodeOf(err) != sandbox.NotFound {
			t.Fatal(err)
		}
		return b.Start(t.Context(), spec)
	}
	s := began(t, b, spec)
	run(t, s, "touch mine")
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("elsewhere", link); err != nil { // the link that the caller named leads elsewhere: it stays where it was
		t.Fatal(err)
	}
	s, err := again()
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, s, "ls"); got != "mine" {
		t.Errorf("it shows %q", got)
	}
	s.Close()
	if err := os.Rename(filepath.Join(dir, "project"), filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("elsewhere", filepath.Join(dir, "project")); err != nil { // and now the place itself
		t.Fatal(err)
	}
	if s, err := again(); sandbox.CodeOf(err) != sandbox.Denied {
		t.Errorf("it starts: %v", err)
		if err == nil {
			s.Close()
		}
	}
}
