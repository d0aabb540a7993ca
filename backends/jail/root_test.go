package jail_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/confinedtest"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// image makes a root file system of bash, what it links, and busybox.
func image(t testing.TB) string {
	t.Helper()
	need.Jail(t)
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
func opened(t testing.TB, c jail.Config) *backends.Backend {
	t.Helper()
	c.StateDir, c.Sandboxd = t.TempDir(), sandboxdtest.Binary(t)
	d, err := jail.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return backends.Open("jail", d, backends.Config{})
}

// in starts a sandbox on a root file system.
func in(t *testing.T, c jail.Config) *backends.Sandbox {
	t.Helper()
	b := opened(t, c)
	ends(t, b, "x")
	return began(t, b, sandbox.Spec{ID: "x"})
}

func TestRoot(t *testing.T) {
	root := image(t)
	s := in(t, jail.Config{Root: root})
	if got := run(t, s, "cat /etc/issue; ls /usr | head -1; id -u; touch /new 2>&1; echo x >f && cat f"); got != "image\n1000\ntouch: /new: Read-only file system\nx" {
		t.Errorf("in the image: %q", got)
	}
}

func TestRootOverlay(t *testing.T) {
	root := image(t)
	s := in(t, jail.Config{Root: root, Overlay: true, User: "root"})
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
		return opened(t, jail.Config{Root: root})
	}, "No such file")
}

// What cannot be had here is refused in a sentence, and not tried again and again.
func TestWhatIsNotThere(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(dir, "none")
	for want, c := range map[string]jail.Config{
		"backends.jail.root: stat":                {Root: none},
		"backends.jail.root: " + file + " is not": {Root: file},
		"backends.jail.paths: lstat " + none:      {Paths: []string{none}},
	} {
		b := opened(t, c)
		if _, err := b.Start(t.Context(), sandbox.Spec{ID: "absent"}); sandbox.CodeOf(err) != sandbox.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want Invalid with %q", err, want)
		}
	}
}

func TestLimitsThatNoMachineHas(t *testing.T) {
	need.Root(t)
	need.Cgroup(t)
	b := opened(t, jail.Config{})
	for want, l := range map[string]sandbox.Limits{
		"limits.memory: absent: want at least 4194304 bytes, have 1000": {Memory: 1000}, "has no CPU 8191": {Affinity: "0,8191"},
	} {
		_, err := b.Start(t.Context(), sandbox.Spec{ID: "absent", Limits: l})
		if sandbox.CodeOf(err) != sandbox.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want Invalid with %q", err, want)
		}
	}
}

func TestRefusedConfig(t *testing.T) {
	for _, c := range []jail.Config{{}, {StateDir: "x", Root: "relative"}, {StateDir: "x", Overlay: true}, {StateDir: "x", User: "somebody"},
		{StateDir: "x", Least: "most"}, {StateDir: "x", Paths: []string{"relative"}}} {
		if _, err := jail.New(c); sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
