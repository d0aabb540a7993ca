package journal

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
)

func TestAFullDiskIsSaidAndSurvived(t *testing.T) {
	need.Root(t)
	dir := t.TempDir()
	if err := syscall.Mount("sandtree-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("no mounting here: ", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	j, err := Open(Config{Path: filepath.Join(dir, "journal.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	l := acquire(t, j, "a")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 256<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	var good uint64
	for {
		first, err := j.Append(t.Context(), "a", l.Epoch(), Record{Type: TypeNote, Body: make(json.RawMessage, 10_000)})
		if err != nil {
			wantCode(t, err, sandbox.Exhausted)
			break
		}
		good = first
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if first, err := j.Append(t.Context(), "a", l.Epoch(), note(1)); err != nil || first != good+1 {
		t.Errorf("with space again: first %d, %v; want %d", first, err, good+1)
	}
}
