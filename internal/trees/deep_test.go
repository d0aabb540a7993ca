package trees

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/held"
)

// memory is where thousands of files are made in no time, if there is such a place.
func memory() string {
	if s, err := os.Stat("/dev/shm"); err == nil && s.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// deep makes directories in directories, which no path need lead to, each with a file before and after the next one, and
// every five-hundredth with some more. The last one has a second name of a file at the top.
func deep(t *testing.T, levels int) (dir string, files int64) {
	t.Helper()
	dir, err := os.MkdirTemp(memory(), "st")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := held.RemoveTree(dir); err != nil {
			t.Error(err)
		}
	})
	top, err := openDir(unix.AT_FDCWD, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer top.Close()
	at := top
	file := func(name string) {
		f, err := open(int(at.Fd()), name, unix.O_CREAT|unix.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.WriteString("x")
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		files++
	}
	for n := range levels {
		file("a")
		if n%500 == 50 {
			for i := range 300 {
				file(fmt.Sprint("more", i))
			}
		}
		if err := unix.Mkdirat(int(at.Fd()), "d", 0o700); err != nil {
			t.Fatal(err)
		}
		files++
		file("z")
		next, err := openDir(int(at.Fd()), "d")
		if err != nil {
			t.Fatal(err)
		}
		if at != top {
			at.Close()
		}
		at = next
	}
	defer at.Close()
	if err := unix.Linkat(int(top.Fd()), "a", int(at.Fd()), "l", 0); err != nil {
		t.Fatal(err)
	}
	return dir, files + 1
}

// bounded leaves this process some more descriptors and no more.
func bounded(t *testing.T, more uint64) {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	few := unix.Rlimit{Cur: uint64(len(open)) + more, Max: was.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	})
}

// TestDeep goes through trees that are deeper than a process has descriptors.
func TestDeep(t *testing.T) {
	const levels = 2000
	from, files := deep(t, levels)
	to, err := os.MkdirTemp(memory(), "st")
	if err != nil {
		t.Fatal(err)
	}
	defer held.RemoveTree(to)
	bounded(t, 64)
	want := Stats{Files: files, Bytes: files - levels - 1}
	if got, err := Measure(from); err != nil || got != want {
		t.Errorf("measured %+v, %v, want %+v", got, err, want)
	}
	if got, err := (Copying{}).Copy(t.Context(), from, filepath.Join(to, "copy")); err != nil || got != want {
		t.Errorf("copied %+v, %v, want %+v", got, err, want)
	}
	if got, err := Measure(filepath.Join(to, "copy")); err != nil || got != want {
		t.Errorf("the copy has %+v, %v, want %+v", got, err, want)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	d, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := Bounds{}.Pack(t.Context(), w, d, "part", nil)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	unpacked, err := Unpacking{Parts: []string{"part"}, UID: -1}.Unpack(t.Context(), tar.NewReader(&b), to)
	if err != nil || unpacked["part"] != packed || packed.Files != files+1 {
		t.Errorf("packed %+v, unpacked %+v, %v", packed, unpacked, err)
	}
}

func TestTooDeep(t *testing.T) {
	dir, _ := deep(t, maxDepth+2)
	to, err := os.MkdirTemp(memory(), "st")
	if err != nil {
		t.Fatal(err)
	}
	defer held.RemoveTree(to)
	if _, err := (Copying{}).Copy(t.Context(), dir, filepath.Join(to, "copy")); !errors.Is(err, ErrDeep) {
		t.Errorf("Copy: %v", err)
	}
	if _, err := Measure(dir); !errors.Is(err, ErrDeep) {
		t.Errorf("Measure: %v", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (Bounds{}).Pack(t.Context(), tar.NewWriter(&bytes.Buffer{}), d, "part", nil); !errors.Is(err, ErrLong) {
		t.Errorf("Pack: %v", err)
	}
}

// TestMovedMeanwhile moves the directory that is being read to where the one above it is another one, in which there is what must
// not be read; then it also puts a link in the place of one that is on the way back.
func TestMovedMeanwhile(t *testing.T) {
	for _, linked := range []bool{false, true} {
		dir := t.TempDir()
		tree, outside := filepath.Join(dir, "tree"), filepath.Join(dir, "outside")
		above := filepath.Join(tree, strings.Repeat("d/", openLevels+3))
		for _, made := range []error{os.MkdirAll(filepath.Join(above, "e"), 0o700), os.MkdirAll(filepath.Join(outside, "d/d"), 0o700),
			os.WriteFile(filepath.Join(outside, "secret"), nil, 0o600), os.WriteFile(filepath.Join(outside, "d/secret"), nil, 0o600),
			os.WriteFile(filepath.Join(above, "e/file"), nil, 0o600), os.WriteFile(filepath.Join(above, "last"), nil, 0o600)} {
			if made != nil {
				t.Fatal(made)
			}
		}
		src, err := openDir(unix.AT_FDCWD, tree)
		if err != nil {
			t.Fatal(err)
		}
		top, err := newLevel("", src, nil)
		if err != nil {
			t.Fatal(err)
		}
		var seen []string
		w := walker{ctx: t.Context(), visit: func(l *level, name string) (*level, error) {
			seen = append(seen, name)
			if name == "file" {
				if err := os.Rename(filepath.Join(above, "e"), filepath.Join(outside, "e")); err != nil {
					t.Error(err)
				}
				if linked {
					way := filepath.Join(tree, strings.Repeat("d/", openLevels+1))
					if err := errors.Join(os.Rename(way, filepath.Join(dir, "away")), os.Symlink(outside, way)); err != nil {
						t.Error(err)
					}
				}
			}
			if name != "d" && name != "e" {
				return nil, nil
			}
			sub, err := openDir(l.src.fd(), name)
			if err != nil {
				return nil, err
			}
			return newLevel(name, sub, nil)
		}}
		err = w.walk(top)
		if slices.Contains(seen, "secret") {
			t.Errorf("it was led out: %q", seen)
		}
		switch {
		case linked && !errors.Is(err, ErrMoved):
			t.Errorf("with a link on the way back: %v", err)
		case !linked && (err != nil || !slices.Contains(seen, "last")):
			t.Errorf("%v, and it has seen %q", err, seen)
		}
	}
}
