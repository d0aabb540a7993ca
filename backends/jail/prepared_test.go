package jail_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
)

// TestPrepared changes what jails show of the host between one and the next, each of which must show what is there when it starts.
func TestPrepared(t *testing.T) {
	leak.Check(t)
	need.Root(t) // nobody else's are prepared
	need.Jail(t)
	shown, err := os.MkdirTemp("/var/lib", "sandtree-test-") // jails have a /tmp of their own
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(shown)
	file, dir := filepath.Join(shown, "file"), filepath.Join(shown, "dir")
	put := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil { // another file by the same name
			t.Fatal(err)
		}
	}
	put(file, "one")
	if err := os.MkdirAll(filepath.Join(dir, "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(shown, 0o755); err != nil {
		t.Fatal(err)
	}
	b := opened(t, jail.Config{Paths: []string{file, dir}})
	ends(t, b, "x")
	says := func(want string) {
		t.Helper()
		s := began(t, b, sandbox.Spec{ID: "x"})
		got := run(t, s, "cat "+file+"; echo; ls "+dir+"/below; stat -c %a / /dev /etc/hosts; touch /new /dev/new /etc/hosts 2>/dev/null || echo no")
		if got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
		if err := s.Stop(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	}
	const modes = "755\n755\n644\nno"
	says("one\n" + modes)
	put(file, "two")
	says("two\n" + modes)
	below := filepath.Join(dir, "below")
	if err := unix.Mount("shown", below, "tmpfs", 0, "mode=0755"); err != nil {
		t.Fatal(err)
	}
	mounted := true
	defer func() {
		if mounted {
			unix.Unmount(below, unix.MNT_DETACH)
		}
	}()
	put(filepath.Join(below, "more"), "")
	says("two\nmore\n" + modes)
	if err := unix.Unmount(below, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	mounted = false
	says("two\n" + modes)
}
