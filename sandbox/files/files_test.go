package files

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
)

// open makes a Store over a fresh directory.
func open(t testing.TB) (*Store, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := New(Config{Dir: dir, UID: -1, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

// plant writes a file, with its parents, and gives its full name.
func plant(t testing.TB, dir, name, content string) string {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

func content(t testing.TB, p string) string {
	t.Helper()
	b, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// nothingElse fails if the tree below dir has other files than these (directories do not count).
func nothingElse(t testing.TB, dir string, want ...string) {
	t.Helper()
	left := map[string]bool{}
	for _, w := range want {
		left[w] = true
	}
	filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if rel, _ := filepath.Rel(dir, p); err == nil && !e.IsDir() && !left[rel] {
			t.Errorf("%s is there, and should not be", rel)
		} else {
			delete(left, rel)
		}
		return nil
	})
	for w := range left {
		t.Errorf("%s is missing", w)
	}
}

func wantCode(t testing.TB, err error, want sandbox.Code) {
	t.Helper()
	if got := sandbox.CodeOf(err); got != want {
		t.Errorf("code %q (%v), want %q", got, err, want)
	}
}

func TestNewNamesTheField(t *testing.T) {
	for _, c := range []Config{{Dir: "relative"}, {Dir: ""}, {Dir: "/x", Roots: []string{"y"}}, {Dir: "/a\x00b"}} {
		_, err := New(c)
		wantCode(t, err, sandbox.Invalid)
	}
}

func run(t testing.TB, name string, arg ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, arg...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}
