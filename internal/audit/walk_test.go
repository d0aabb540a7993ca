package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/sandbox"
)

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func look1(t *testing.T, dir string) *Tree { return lookWith(t, NewLooks(), dir) }

func lookWith(t *testing.T, l *Looks, dir string) *Tree {
	t.Helper()
	tree, err := l.Look(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestChanges(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a"), "a")
	write(t, filepath.Join(dir, "b"), "b")
	before := look1(t, dir)
	write(t, filepath.Join(dir, "a"), "longer")
	os.Remove(filepath.Join(dir, "b"))
	os.Mkdir(filepath.Join(dir, "d"), 0o700)
	write(t, filepath.Join(dir, "d/c"), "c")
	unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600)
	os.Symlink("/", filepath.Join(dir, "root"))
	list, more := before.Changes(look1(t, dir), 100)
	want := "[{a modified} {b removed} {d added} {d/c added} {fifo added} {root added}]"
	if fmt.Sprint(list) != want || more != 0 {
		t.Errorf("changes are %v and %d more, want %s", list, more, want)
	}
	if list, more := before.Changes(look1(t, dir), 2); len(list) != 2 || more != 4 {
		t.Errorf("of six changes %v are told, and that there are %d more", list, more)
	}
	if list, _ := before.Changes(before, 100); len(list) > 0 {
		t.Errorf("nothing has changed, but %v", list)
	}
}

// A tree that was not looked at wholly is taken for what it is.
func TestDeep(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, strings.Repeat("d/", maxDepth+3))
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "a"), "a")
	before := look1(t, dir)
	if before.Lacks == "" || before.Len() > maxDepth+1 {
		t.Errorf("of a deep tree there are %d files, lacking %q", before.Len(), before.Lacks)
	}
	os.Remove(filepath.Join(dir, "a"))
	write(t, filepath.Join(dir, "b"), "b")
	if list, _ := before.Changes(look1(t, dir), 10); len(list) != 0 {
		t.Errorf("of trees that are not known wholly it is said that %v", list)
	}
	if _, err := NewLooks().Look(t.Context(), filepath.Join(dir, "b")); err == nil {
		t.Error("a file is a tree")
	}
}

// What a workspace's programs give as a path does not lead to much being told.
func TestLongPaths(t *testing.T) {
	before, after := &Tree{files: map[string]stamp{}}, &Tree{files: map[string]stamp{}}
	for i := range 200 {
		after.files[fmt.Sprintf("%03d%s", i, strings.Repeat("x", 4000))] = 0
	}
	list, more := before.Changes(after, 1000)
	size := 0
	for _, c := range list {
		size += len(c.Path)
	}
	if size > maxTold || len(list)+more != 200 || len(list) == 0 || list[0].Change != sandbox.FileAdded {
		t.Errorf("%d changes of %d bytes, and %d more", len(list), size, more)
	}
}
