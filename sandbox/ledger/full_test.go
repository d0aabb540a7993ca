package ledger_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/ledger"
	"github.com/sandtree/sandtree/testing/need"
)

// smallDisk is a folder on a file system of that many bytes.
func smallDisk(t *testing.T, size int) string {
	need.Root(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("mount tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill takes all room that is left.
func fill(t *testing.T, path string) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for chunk := make([]byte, 4096); err == nil; {
		_, err = f.Write(chunk)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

func TestAFullDiskLosesNothingAndCanBeCleared(t *testing.T) {
	dir := smallDisk(t, 512<<10)
	c := ledger.Config{Path: filepath.Join(dir, "l"), Keep: 10_000}
	l := open(t, c)
	perform(t, l, "before", []byte("x"))
	filler := filepath.Join(dir, "filler")
	fill(t, filler)

	n := 0
	var err error
	for ; ; n++ { // the spare is used up
		var e *ledger.Entry
		if e, _, err = l.Begin(fmt.Sprint("a", n), body("")); err != nil {
			break
		}
		if err = e.Done(make([]byte, 200)); err != nil {
			n++
			break
		}
	}
	wantCode(t, err, sandbox.Exhausted)
	if n < 100 {
		t.Errorf("only %d actions could be recorded on the full disk", n)
	}
	fill(t, filler)
	_, _, err = l.Begin("refused", body(""))
	for n < 10_000 && err == nil { // what is left of the last page
		n++
		_, _, err = l.Begin(fmt.Sprint("a", n), body(""))
	}
	wantCode(t, err, sandbox.Exhausted)
	if _, ok := l.Lookup(fmt.Sprint("a", n)); ok {
		t.Error("a refused action is known")
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	for i := range 40 { // enough for a new spare
		perform(t, l, fmt.Sprint("b", i), []byte("y"))
	}
	fill(t, filler)
	perform(t, l, "after", []byte("z"))
	l.Close()
	l = open(t, c)
	wantAnswer(t, l, "before", "x")
	wantAnswer(t, l, "after", "z")
	for i := range 40 {
		wantAnswer(t, l, fmt.Sprint("b", i), "y")
	}
}
