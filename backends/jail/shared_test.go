package jail_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// sharedDir names, in the process that TestSharedMount starts, a directory that is a shared mount of its own namespace.
const sharedDir = "SANDTREE_TEST_SHARED_DIR"

// TestSharedMount shows directories of a file system that the host shares, as systemd has all of them: nothing that a jail
// mounts comes to be on the host, and nothing that the host mounts there later in the jail. The host's own is left alone: all
// is done in a mount namespace of a child.
func TestSharedMount(t *testing.T) {
	if dir := os.Getenv(sharedDir); dir != "" {
		testSharedMount(t, dir)
		return
	}
	need.Root(t)
	need.Jail(t)
	need.Tool(t, "unshare", "mount")
	root, dir := image(t), t.TempDir()
	script := `set -e; mount -t tmpfs tmpfs "$1"; mount --make-shared "$1"; cp -a "$2" "$1/root"; mkdir "$1/work" "$1/state"; exec "$3" -test.run '^TestSharedMount$' -test.v`
	cmd := exec.Command("unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", dir, root, os.Args[0])
	cmd.Env = append(os.Environ(), sharedDir+"="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func testSharedMount(t *testing.T, dir string) {
	mounts := func() string { // of that file system, and on it: what else there is goes as others please
		b, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		lines := slices.DeleteFunc(strings.Split(string(b), "\n"), func(l string) bool { return !strings.Contains(l, dir) })
		return strings.Join(lines, "\n")
	}
	if mounts() == "" {
		t.Skip("only as a child of the other")
	}
	before := mounts()
	for _, overlay := range []bool{false, true} {
		d, err := jail.New(jail.Config{StateDir: filepath.Join(dir, "state"), Sandboxd: sandboxdtest.Binary(t), Root: filepath.Join(dir, "root"), Overlay: overlay})
		if err != nil {
			t.Fatal(err)
		}
		b := backends.Open("jail", d, backends.Config{})
		ends(t, b, "x")
		work := filepath.Join(dir, "work")
		s := began(t, b, sandbox.Spec{ID: "x", Workspace: work})
		if now := mounts(); now != before {
			t.Errorf("with overlay %v the host's mounts are\n%s", overlay, now)
		}
		later := filepath.Join(work, "later")
		script := `mkdir -p "$1" && mount -t tmpfs tmpfs "$1" && touch "$1/secret"`
		if out, err := exec.Command("sh", "-c", script, "sh", later).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got := run(t, s, "ls later"); got != "" {
			t.Errorf("what the host mounts later is there: %q", got)
		}
		if out, err := exec.Command("umount", later).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		if err := s.Stop(t.Context(), 0); err != nil {
			t.Error(err)
		}
	}
}
