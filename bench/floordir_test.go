package bench

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestFloorDirsOfTheKilledGo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	held, release, err := floorDir()
	if err != nil {
		t.Fatal(err)
	}
	left := func(name string, mode os.FileMode) string {
		dir := filepath.Join(os.TempDir(), floorPrefix+name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "10000"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	killed, open, fresh := left("killed", 0o700), left("open", 0o755), left("fresh", 0o700)
	link := filepath.Join(os.TempDir(), floorPrefix+"link")
	if err := os.Symlink(open, link); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{held, killed, open} {
		if err := os.Chtimes(dir, time.Time{}, time.Now().Add(-2*young)); err != nil {
			t.Fatal(err)
		}
	}
	clearFloorDirs()
	for dir, want := range map[string]bool{held: true, killed: false, open: true, fresh: true, link: true} {
		if _, err := os.Lstat(dir); (err == nil) != want {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(held); err == nil {
		t.Error("it is still there")
	}
}
