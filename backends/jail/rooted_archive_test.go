package jail_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/backends/local"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// manyImage is an image with files of several modes and owners.
func manyImage(t *testing.T) string {
	t.Helper()
	dir := image(t)
	script := `set -e; umask 022
		mkdir -p opt/hidden/sub opt/gone opt/more
		touch opt/hidden/below opt/gone/file
		for f in opt/suid opt/shared; do echo "$f" >$f; done
		chown 0:5 opt/suid; chmod 6755 opt/suid
		chown 1000:5 opt/shared; chmod 666 opt/shared
		chown 65534:65534 opt/more; chmod 1777 opt/more
		chmod 1777 tmp`
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

// view is all that there is in a sandbox' root, home and workspace.
const view = `{ for d in /bin /etc /opt /srv /usr /var $HOME /workspace; do busybox find $d; done 2>/dev/null | busybox sort |
	while IFS= read -r f; do if [ -d "$f" ]; then stat -c '%n %f %u %g' "$f"; else stat -c '%N %f %u %g %h %s %Y' "$f"; fi; done
	busybox find /etc /opt /srv /var -type f | busybox sort | busybox xargs busybox md5sum; }`

func exported(t *testing.T, b *backends.Backend, name string) []byte {
	t.Helper()
	var archive bytes.Buffer
	if err := b.Export(t.Context(), name, &archive, backends.ArchiveBounds{}); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

// severalLayers makes a snapshot whose root has three layers, each of which hides something of the one below, the last by a copy.
func severalLayers(t *testing.T, b *backends.Backend, dir, id, name string) {
	t.Helper()
	s := more(t, b, sandbox.Spec{ID: sandbox.ID(id), Epoch: 1})
	if got := does(t, s, `{ touch /opt/suid; echo x >>/opt/shared; touch /opt/more; rm -r /opt/hidden /opt/gone /bin/tail
		mkdir -m 750 /opt/hidden; mkdir -p /srv/a/b /srv/old/er; echo h >/opt/hidden/.wh.odd; echo other >/srv/a/b/file
		busybox ln /srv/a/b/file /srv/again; busybox ln -s /etc/passwd /srv/link; busybox chmod 1751 /srv/a
		busybox touch -d '2001-02-03 04:05:06' /srv/a/b/file; mkdir /srv/.wh.dir; touch /srv/.wh.dir/.wh..wh..opq; echo w >work; echo m >$HOME/mine; }`); got != "" {
		t.Fatal(got)
	}
	if made := snapshot(t, s, name+"1"); made.Way != backends.WayLayer {
		t.Fatalf("made by %s (%s)", made.Way, made.Why)
	}
	attributed(t, dir)
	does(t, s, `{ rm -r /opt/hidden/.wh.odd /srv/old /srv/.wh.dir; mkdir /srv/old /srv/.wh.dir; touch /srv/old/new; mkdir /bin/tail
		echo two >>/srv/a/b/file; rm /etc/issue; busybox mkfifo /tmp/go /tmp/done; }`)
	if made := snapshot(t, s, name+"2"); made.Way != backends.WayLayer {
		t.Fatalf("made by %s (%s)", made.Way, made.Why)
	}
	does(t, s, `{ exec 5<>/tmp/go 6<>/tmp/done; rm -r /bin/tail; echo three >/bin/tail
		(exec 9>>/srv/log; echo $BASHPID >&9; echo x >&6; read -r line <&5) & disown; read -r _ <&6; rm -r /srv/old/new; }`)
	if made := snapshot(t, s, name); made.Way != backends.WayCopy {
		t.Fatalf("made by %s", made.Way)
	}
}

// attributed gives a file of the layers of a root an attribute.
func attributed(t *testing.T, dir string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "jail/.layers/*/root/srv/a/b/file"))
	if len(files) != 1 {
		t.Fatalf("in the layers there are %q", files)
	}
	if err := unix.Setxattr(files[0], "user.note", []byte("a\x00b"), 0); err != nil {
		t.Fatal(err)
	}
}

// TestRootedArchive takes a root of several layers elsewhere and back again. What sandboxes see that begin with it is the same.
func TestRootedArchive(t *testing.T) {
	need.Root(t)
	root, dir, elsewhere := manyImage(t), t.TempDir(), t.TempDir()
	b, other := rooted(t, dir, root), rooted(t, elsewhere, root)
	severalLayers(t, b, dir, "origin", "three")
	want := does(t, more(t, b, sandbox.Spec{ID: "fork", From: "three"}), view)
	for _, line := range []string{"/opt/hidden 41e8 0 0", "/opt/shared 81b6 1000 5 ", "/opt/suid 8ded 0 5 ", "/srv/a/b/file 81a4 0 0 ", "/srv/.wh.dir 41ed"} {
		if !strings.Contains(want, line) {
			t.Errorf("before, there is no %q in\n%s", line, want)
		}
	}
	archive := exported(t, b, "three")
	made, err := other.Import(t.Context(), "moved", bytes.NewReader(archive), backends.ArchiveBounds{})
	if err != nil {
		t.Fatal(err)
	}
	if made.Way != backends.WayImport || len(made.Holds) != 3 || made.Files < 20 {
		t.Errorf("imported as %+v", made)
	}
	if n := layersIn(t, elsewhere); n != 3 {
		t.Errorf("there are %d layers", n)
	}
	closed(t, elsewhere)
	moved := more(t, other, sandbox.Spec{ID: "fork", From: "moved"})
	if got := does(t, moved, view); got != want {
		t.Errorf("elsewhere it is\n%s\nand was\n%s", got, want)
	}
	if got := does(t, moved, "[ /srv/again -ef /srv/a/b/file ] || echo two; echo more >>/srv/log; mkdir /srv/old/again"); got != "two" {
		t.Errorf("files with several names: %q", got) // they parted when one was written to
	}
	want = does(t, moved, view)
	if made := snapshot(t, moved, "four"); made.Way != backends.WayLayer {
		t.Errorf("made by %s (%s)", made.Way, made.Why)
	}
	if _, err := b.Import(t.Context(), "back", bytes.NewReader(exported(t, other, "four")), backends.ArchiveBounds{}); err != nil {
		t.Fatal(err)
	}
	if got := does(t, more(t, b, sandbox.Spec{ID: "back", From: "back"}), view); got != want {
		t.Errorf("when it is back it is\n%s\nand was\n%s", got, want)
	}
	rootedLeavesNothing(t, b, dir, root, []string{"three", "three1", "three2", "back"}, "origin", "fork", "back")
	rootedLeavesNothing(t, other, elsewhere, root, []string{"moved", "four"}, "fork")
}

// closed asserts that nobody else on the host gets at the files of layers, some of which run with the rights of their owner, and that
// those are nobody's; and that attributes have arrived.
func closed(t *testing.T, dir string) {
	t.Helper()
	var s unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, "jail/.layers"), &s); err != nil || s.Mode&0o777 != 0o700 || s.Uid != 0 {
		t.Errorf("the layers are %o's of %d, %v", s.Mode, s.Uid, err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "jail/.layers/*/root/opt/suid"))
	if len(files) != 1 {
		t.Fatalf("in the layers there are %q", files)
	}
	if err := unix.Stat(files[0], &s); err != nil || s.Mode != 0o106755 || s.Uid < 0x70000000 || s.Gid != s.Uid+5 {
		t.Errorf("the set-user-ID file is %o of %x and %x, %v", s.Mode, s.Uid, s.Gid, err)
	}
	files, _ = filepath.Glob(filepath.Join(dir, "jail/.layers/*/root/srv/again"))
	value := make([]byte, 9)
	for _, file := range files {
		if n, err := unix.Getxattr(file, "user.note", value); err != nil || string(value[:n]) != "a\x00b" {
			t.Errorf("%s: the attribute is %q, %v", file, value[:max(n, 0)], err)
		}
	}
	if len(files) == 0 {
		t.Error("the file with two names is in no layer")
	}
}

// TestRootedArchiveElsewhere imports one where sandboxes could not begin with it. Nothing of it stays.
func TestRootedArchiveElsewhere(t *testing.T) {
	need.Root(t)
	root, dir := image(t), t.TempDir()
	b := rooted(t, dir, root)
	s := more(t, b, sandbox.Spec{ID: "origin", Epoch: 1})
	does(t, s, "touch /new")
	snapshot(t, s, "one")
	archive := exported(t, b, "one")
	here, err := local.New(local.Config{StateDir: t.TempDir(), Sandboxd: sandboxdtest.Binary(t)})
	if err != nil {
		t.Fatal(err)
	}
	for why, open := range map[string]func(dir string) *backends.Backend{
		"backends.jail.root is": func(dir string) *backends.Backend { return rooted(t, dir, image(t)) },
		"overlay = true": func(dir string) *backends.Backend {
			return backends.Open("jail", open(t, dir), backends.Config{})
		},
		`storage "directory"`: func(dir string) *backends.Backend {
			d, err := jail.New(jail.Config{StateDir: dir, Sandboxd: sandboxdtest.Binary(t), Root: root, Overlay: true, User: "root", Storage: "memory"})
			if err != nil {
				t.Fatal(err)
			}
			return backends.Open("jail", d, backends.Config{})
		},
		`kind "rooted"`: func(string) *backends.Backend { return backends.Open("local", here, backends.Config{}) },
	} {
		state := t.TempDir()
		other := open(state)
		_, err := other.Import(t.Context(), "", bytes.NewReader(archive), backends.ArchiveBounds{})
		if sandbox.CodeOf(err) != sandbox.Unsupported || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		}
		if n := layersIn(t, state); n != 0 {
			t.Errorf("%s: %d layers are left", why, n)
		}
		other.Close()
	}
	if _, err := b.Import(t.Context(), "few", bytes.NewReader(archive), backends.ArchiveBounds{Files: 3}); sandbox.CodeOf(err) != sandbox.Exhausted {
		t.Errorf("more than there may be: %v", err)
	}
	if _, err := b.Import(t.Context(), "one", bytes.NewReader(archive), backends.ArchiveBounds{}); sandbox.CodeOf(err) != sandbox.Conflict {
		t.Errorf("under a name that is taken: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "jail/.layers/.new-*")); len(left) > 0 || layersIn(t, dir) != 2 {
		t.Errorf("left are %q and %d layers", left, layersIn(t, dir))
	}
	if err := os.Rename(root, root+".moved"); err != nil { // an archive says whose root it was, and needs no such
		t.Fatal(err)
	}
	exported(t, b, "one")
	if err := os.Rename(root+".moved", root); err != nil {
		t.Fatal(err)
	}
	rootedLeavesNothing(t, b, dir, root, []string{"one"}, "origin")
}
