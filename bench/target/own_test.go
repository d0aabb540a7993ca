package target

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// What another user could have put where temporary directories are is not taken for ours.
func TestOnlyOwnStateDirectoriesAreCleared(t *testing.T) {
	dirOf := func(name string, mode os.FileMode, content string) string {
		dir := filepath.Join(t.TempDir(), ownPrefix+name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, ownFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	good := dirOf("good", 0o700, "{}")
	link := filepath.Join(t.TempDir(), ownPrefix+"link")
	if err := os.Symlink(good, link); err != nil {
		t.Fatal(err)
	}
	pipe := dirOf("pipe", 0o700, "")
	if err := os.Remove(filepath.Join(pipe, ownFile)); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(pipe, ownFile), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := map[string]string{"open to others": dirOf("open", 0o777, "{}"), "a link": link, "a pipe": pipe}
	if os.Geteuid() == 0 {
		bad["another's"] = dirOf("another", 0o700, "{}")
		if err := os.Chown(bad["another's"], 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	for name, dir := range bad {
		if f, err := openOwn(dir); err == nil {
			f.Close()
			t.Errorf("%s: opened", name)
		}
	}
	f, err := openOwn(good)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// What a killed run has left is ended with the values that it had, whatever those of the next one are.
func TestStaleOfOtherValues(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	left := func(backend, image string) (dir string, lock *os.File) {
		dir, lock, err := makeOwn(Config{Backend: backend, Values: map[string]any{"image": image}})
		if err != nil {
			t.Fatal(err)
		}
		return dir, lock
	}
	killed, lock := left("docker", "one")
	lock.Close()
	_, other := left("jail", "one")
	other.Close()
	_, alive := left("docker", "three")
	defer alive.Close()
	var found []string
	open := func(o backends.Options) (backends.Driver, error) {
		found = append(found, o.StateDir, fmt.Sprint(o.Values["image"]))
		return nil, errors.New("no more is needed")
	}
	clearStale(t.Context(), Config{Backend: "docker", Values: map[string]any{"image": "two"}, Driver: open})
	if want := []string{killed, "one"}; !slices.Equal(found, want) {
		t.Errorf("%q, want %q", found, want)
	}
}

func TestNoPlaceForTemporaryFiles(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	if _, _, err := makeOwn(Config{}); sandbox.CodeOf(err) != sandbox.Invalid || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("%v", err)
	}
}
