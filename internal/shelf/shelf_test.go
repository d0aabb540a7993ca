package shelf

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/sandtree/sandtree/testing/leak"
)

func TestShelf(t *testing.T) {
	leak.Check(t)
	s := Shelf(filepath.Join(t.TempDir(), "shelf"))
	if err := errors.Join(s.Clean(), s.Remove("none")); err != nil {
		t.Error(err)
	}
	fill := func(dir string) (any, error) {
		return map[string]int{"n": 1}, os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o600)
	}
	if err := s.Put("a", fill); err != nil {
		t.Fatal(err)
	}
	var record map[string]int
	if err := s.Read("a", &record); err != nil || record["n"] != 1 {
		t.Errorf("read %v, %v", record, err)
	}
	if err := s.Put("a", fill); !errors.Is(err, ErrTaken) {
		t.Errorf("a second one: %v", err)
	}
	broken := errors.New("broken")
	if err := s.Put("b", func(string) (any, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("what cannot be filled: %v", err)
	}
	if names, err := s.Names(); err != nil || !slices.Equal(names, []string{"a"}) {
		t.Errorf("there are %q, %v", names, err)
	}
	if err := s.Remove("a"); err != nil {
		t.Error(err)
	}
	if err := s.Read("a", &record); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("then: %v", err)
	}
	if _, err := os.Lstat(string(s)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of an empty one there is %v", err)
	}
}

// TestHide takes a name away, which is free at once, and what it was the name of later.
func TestHide(t *testing.T) {
	s := Shelf(filepath.Join(t.TempDir(), "shelf"))
	fill := func(dir string) (any, error) { return 1, os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o600) }
	if err := s.Put("a", fill); err != nil {
		t.Fatal(err)
	}
	remove, err := s.Hide("a")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put("a", fill); err != nil {
		t.Errorf("its name is not free: %v", err)
	}
	if kept, _ := filepath.Glob(filepath.Join(string(s), ".gone-*", "file")); len(kept) != 1 {
		t.Errorf("kept are %v", kept)
	}
	if err := errors.Join(remove(), s.Remove("a")); err != nil {
		t.Error(err)
	}
	var dir string
	err = s.Borrow(func(d string) error {
		dir = d
		return os.WriteFile(filepath.Join(d, "file"), nil, 0o600)
	})
	if _, gone := os.Lstat(dir); err != nil || !errors.Is(gone, fs.ErrNotExist) {
		t.Errorf("%s: %v, %v", dir, err, gone)
	}
	if _, err := os.Lstat(string(s)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of an empty one there is %v", err)
	}
}

// TestAtOnce has several fill the same name at once, while others clean: one gets it, whole, and nothing else is left.
func TestAtOnce(t *testing.T) {
	s := Shelf(filepath.Join(t.TempDir(), "shelf"))
	for range 20 {
		var wg sync.WaitGroup
		var mu sync.Mutex
		put := 0
		for n := range 4 {
			wg.Go(func() {
				err := s.Put("name", func(dir string) (any, error) { return n, os.Mkdir(filepath.Join(dir, "in"), 0o700) })
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					put++
				} else if !errors.Is(err, ErrTaken) {
					t.Errorf("Put: %v", err)
				}
			})
			wg.Go(func() {
				if err := s.Clean(); err != nil {
					t.Errorf("Clean: %v", err)
				}
			})
		}
		wg.Wait()
		if put != 1 {
			t.Errorf("%d have put it", put)
		}
		left, err := os.ReadDir(string(s))
		if err != nil || len(left) != 1 {
			t.Errorf("left are %v, %v", left, err)
		}
		if err := s.Remove("name"); err != nil {
			t.Error(err)
		}
	}
}

// TestClean clears away what a process left that was killed.
func TestClean(t *testing.T) {
	s := Shelf(t.TempDir())
	for _, dir := range []string{".new-empty", ".new-locked/in", ".gone-it/in"} {
		if err := os.MkdirAll(filepath.Join(string(s), dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(string(s), ".new-locked/lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Clean(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(string(s)); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}
