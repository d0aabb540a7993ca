package gvisor_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/gvisor"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/confinedtest"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// image makes a root file system of bash, what it links, and busybox.
func image(t testing.TB) string {
	t.Helper()
	need.GVisor(t)
	bash, busybox := need.Tool(t, "bash", "ldd"), need.Tool(t, "busybox")
	dir := t.TempDir()
	script := `set -e
		mkdir -p bin etc tmp usr var
		cp "$1" bin/bash
		for f in $(ldd "$1" | grep -o '/[^ ]*'); do mkdir -p ".$(dirname "$f")"; cp "$f" ".$f"; done
		cp "$2" bin/busybox
		for a in sh ls cat id stat touch rm mkdir readlink tail head; do ln -s busybox bin/$a; done
		echo 'root:x:0:0::/root:/bin/sh' >etc/passwd
		echo image >etc/issue
		chmod 755 .`
	cmd := exec.Command("bash", "-c", script, "image", bash, busybox)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

// opened opens the backend on a state directory of its own.
func opened(t testing.TB, c gvisor.Config) *backends.Backend {
	t.Helper()
	c.StateDir, c.Sandboxd, c.Companion = t.TempDir(), sandboxdtest.Binary(t), need.GVisor(t)
	d, err := gvisor.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return backends.Open("gvisor", d, backends.Config{})
}

// in starts a sandbox on a root file system.
func in(t *testing.T, c gvisor.Config) *backends.Sandbox {
	t.Helper()
	b := opened(t, c)
	ends(t, b, "x")
	return began(t, b, sandbox.Spec{ID: "x"})
}

func TestRoot(t *testing.T) {
	root := image(t)
	s := in(t, gvisor.Config{Root: root})
	if got := run(t, s, "cat /etc/issue; ls /usr | head -1; id -u; touch /new 2>&1; echo x >f && cat f"); got != "image\n1000\ntouch: /new: Permission denied\nx" {
		t.Errorf("in the image: %q", got)
	}
}

func TestRootOverlay(t *testing.T) {
	root := image(t)
	s := in(t, gvisor.Config{Root: root, Overlay: true, User: "root"})
	if got := run(t, s, "id -u; echo mine >/etc/issue && touch /new && rm /bin/tail && mkdir /srv && cat /etc/issue; ls /"); !strings.HasPrefix(got, "0\nmine\n") || !strings.Contains(got, "new") {
		t.Errorf("in the image: %q", got)
	}
	if b, err := os.ReadFile(filepath.Join(root, "etc/issue")); err != nil || string(b) != "image\n" {
		t.Errorf("the image itself has changed: %q, %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(root, "new")); err == nil {
		t.Error("something is new in the image itself")
	}
}

func TestRootThatLeadsAway(t *testing.T) {
	confinedtest.RootThatLeadsAway(t, image, func(t testing.TB, root string) *backends.Backend {
		return opened(t, gvisor.Config{Root: root})
	}, "No such file", "Not a directory")
}

func TestRefusedConfig(t *testing.T) {
	for _, c := range []gvisor.Config{{}, {StateDir: "x", Root: "relative"}, {StateDir: "x", Overlay: true}, {StateDir: "x", User: "somebody"},
		{StateDir: "x", Network: "bridge"}, {StateDir: "x", Paths: []string{"relative"}}} {
		if _, err := gvisor.New(c); sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
