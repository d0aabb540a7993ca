package jail_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// rooted is a backend whose sandboxes can write to a root.
func rooted(t testing.TB, dir, root string) *backends.Backend {
	t.Helper()
	d, err := jail.New(jail.Config{StateDir: dir, Sandboxd: sandboxdtest.Binary(t), Root: root, Overlay: true, User: "root"})
	if err != nil {
		t.Fatal(err)
	}
	b := backends.Open("jail", d, backends.Config{})
	t.Cleanup(func() { b.Close() })
	return b
}

// TestRootedSnapshot keeps what was written over the root with the rest: by a layer, under the shell that goes on.
func TestRootedSnapshot(t *testing.T) {
	need.Root(t)
	root, dir := image(t), t.TempDir()
	b := rooted(t, dir, root)
	s := more(t, b, sandbox.Spec{ID: "origin", Epoch: 1})
	does(t, s, "echo one >/etc/issue; touch /new; rm /bin/tail; mkdir -p /srv/sub; rm -r /var; mkdir /var; echo w >work; VARIABLE=kept")
	made := snapshot(t, s, "first")
	if made.Way != backends.WayLayer || len(made.Holds) != 3 {
		t.Errorf("made by %s (%s), it holds %q", made.Way, made.Why, made.Holds)
	}
	t.Logf("the programs stood still for %v", made.Took)
	if got := does(t, s, `pwd; echo $VARIABLE; cat /etc/issue work; ls -1 /bin/tail /new /proc/1/comm /dev/null /srv; ls -1d /proc/1 /tmp`); !strings.HasPrefix(got, "/workspace\nkept\none\nw\n") ||
		!strings.Contains(got, "tail: No such file") || !strings.Contains(got, "/new\n") || !strings.Contains(got, "/proc/1\n") || !strings.Contains(got, "sub") {
		t.Errorf("after the snapshot the shell sees %q", got)
	}
	does(t, s, "echo two >/etc/issue; rm /new; mkdir /later; touch /srv/sub/file /tmp/t; echo w2 >work")
	fork := more(t, b, sandbox.Spec{ID: "fork", From: "first"})
	const look = "cat /etc/issue work; ls -1d /new /later /var /srv/sub/* /bin/tail 2>/dev/null; stat -c %u /new /etc/issue 2>/dev/null"
	if got := does(t, fork, look); got != "one\nw\n/new\n/var\n0\n0" {
		t.Errorf("the fork has %q", got)
	}
	does(t, fork, "echo forked >/etc/issue; rm -r /srv; mkdir /srv")
	if got := does(t, s, look); got != "two\nw2\n/later\n/srv/sub/file\n/var\n0" {
		t.Errorf("then the first has %q", got)
	}
	if made := snapshot(t, s, "second"); made.Way != backends.WayLayer {
		t.Errorf("the second was made by %s (%s)", made.Way, made.Why)
	}
	if made := snapshot(t, fork, "forked"); made.Way != backends.WayLayer {
		t.Errorf("that of the fork was made by %s (%s)", made.Way, made.Why)
	}
	third := more(t, b, sandbox.Spec{ID: "third", From: "forked"})
	if got := does(t, third, "cat /etc/issue; ls /srv"); got != "forked" {
		t.Errorf("the fork of the fork has %q", got)
	}
	if err := s.Halt(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = more(t, b, sandbox.Spec{ID: "origin", Epoch: 2})
	if got := does(t, s, look); got != "two\nw2\n/later\n/srv/sub/file\n/var\n0" {
		t.Errorf("revived, it has %q", got)
	}
	if err := b.Restore(t.Context(), "origin", 2, "first"); err != nil {
		t.Fatal(err)
	}
	s = more(t, b, sandbox.Spec{ID: "origin", Epoch: 3})
	if got := does(t, s, look); got != "one\nw\n/new\n/var\n0\n0" {
		t.Errorf("restored, it has %q", got)
	}
	all, err := b.Snapshots(t.Context())
	if err != nil || len(all) != 3 || all[0].Files < 8 {
		t.Errorf("listed are %+v, %v", all, err)
	}
	plain := backends.Open("jail", open(t, dir), backends.Config{})
	defer plain.Close()
	if _, err := plain.Start(t.Context(), sandbox.Spec{ID: "plain", From: "first"}); sandbox.CodeOf(err) != sandbox.Unsupported {
		t.Errorf("a sandbox without a root of its own begins with one: %v", err)
	}
	rootedLeavesNothing(t, b, dir, root, []string{"first", "second", "forked"}, "origin", "fork", "third")
}

// rootedLeavesNothing removes everything and looks what there is then.
func rootedLeavesNothing(t *testing.T, b *backends.Backend, dir, root string, names []string, ids ...sandbox.ID) {
	t.Helper()
	for _, name := range names {
		if err := b.RemoveSnapshot(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	for _, id := range ids {
		if err := b.Remove(t.Context(), id, backends.AnyEpoch, 0); err != nil {
			t.Error(err)
		}
	}
	if n := layersIn(t, dir); n != 0 {
		t.Errorf("%d layers are left", n)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "jail", "[^.]*")); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), dir) || strings.Contains(string(mounts), root) {
		t.Errorf("mounts are left, or %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(root, "etc/issue")); err != nil || string(b) != "image\n" {
		t.Errorf("the root itself has changed: %q, %v", b, err)
	}
}

// TestRootedBusy makes snapshots while a program writes to a file of the root, works in one of its directories, or has one open: they are
// copies, what goes on goes on, and what is deleted stays so.
func TestRootedBusy(t *testing.T) {
	need.Root(t)
	root, dir := image(t), t.TempDir()
	b := rooted(t, dir, root)
	s := more(t, b, sandbox.Spec{ID: "origin", Epoch: 1})
	does(t, s, "rm /bin/tail; mkdir /srv; echo one >/srv/file; busybox mkfifo /tmp/go /tmp/done; exec 5<>/tmp/go 6<>/tmp/done")
	if made := snapshot(t, s, "idle"); made.Way != backends.WayLayer {
		t.Errorf("made by %s (%s)", made.Way, made.Why)
	}
	for i, program := range []string{"exec 9>>/srv/log; echo $BASHPID >&9", "cd /srv", "exec 9</srv"} {
		does(t, s, "(cd /tmp; "+program+"; echo x >&6; read -r line <&5; cd /tmp; exec 9>&-; echo x >&6) & disown; read -r _ <&6")
		name := "s" + string(rune('0'+i))
		if made := snapshot(t, s, name); made.Way != backends.WayCopy || made.Why == "" {
			t.Errorf("%s: made by %s (%s)", program, made.Way, made.Why)
		}
		does(t, s, "echo x >&5; read -r _ <&6; rm -f /srv/log; echo "+name+" >>/srv/file")
		if made := snapshot(t, s, "after-"+name); made.Way != backends.WayLayer {
			t.Errorf("when it has ended: made by %s (%s)", made.Way, made.Why)
		}
	}
	if got := does(t, more(t, b, sandbox.Spec{ID: "fork", From: "s2"}), "cat /srv/file; ls -1 /srv/log /bin/tail"); !strings.HasPrefix(got, "one\ns0\ns1\nls: ") || strings.Count(got, "No such") != 2 {
		t.Errorf("a fork of a copy has %q", got)
	}
	if got := does(t, more(t, b, sandbox.Spec{ID: "last", From: "after-s2"}), "cat /srv/file; ls -1 /bin/tail"); !strings.HasPrefix(got, "one\ns0\ns1\ns2\nls: ") || strings.Count(got, "No such") != 1 {
		t.Errorf("a fork of the last has %q", got)
	}
	rootedLeavesNothing(t, b, dir, root, []string{"idle", "s0", "s1", "s2", "after-s0", "after-s1", "after-s2"}, "origin", "fork", "last")
}
