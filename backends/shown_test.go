package backends_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

func TestCheckShown(t *testing.T) {
	dir := t.TempDir()
	state, other := filepath.Join(dir, "deep/state"), filepath.Join(dir, "deep/statement")
	for _, d := range []string{filepath.Join(state, "jail/x"), other} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("deep/state/jail", link); err != nil {
		t.Fatal(err)
	}
	stateLink := filepath.Join(dir, "state-link")
	if err := os.Symlink(state, stateLink); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for path, want := range map[string]sandbox.Code{
		"/": sandbox.Invalid, dir: sandbox.Invalid, dir + "/deep": sandbox.Invalid, dir + "/deep/./": sandbox.Invalid, state: sandbox.Invalid,
		state + "/jail": sandbox.Invalid, link: sandbox.Invalid, link + "/x": sandbox.Invalid, dir + "/s": sandbox.Invalid,
		other: "", "/usr": "", dir + "/missing": "",
	} {
		for _, at := range []string{state, stateLink} {
			err := backends.CheckShown("spec.workspace", path, at)
			if want == "" && err != nil || want != "" && sandbox.CodeOf(err) != want {
				t.Errorf("%s, with the state in %s: %v", path, at, err)
			}
		}
	}
	if err := backends.CheckShown("paths", dir, ""); err != nil {
		t.Errorf("without a state directory: %v", err)
	}
}
