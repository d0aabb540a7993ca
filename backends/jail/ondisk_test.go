package jail_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
)

// TestForkOnDisk begins sandboxes whose files are in an image, and in memory, with a snapshot. What they write counts for the size
// of the disk, what the snapshot has does not; one is restored; and then nothing is left.
func TestForkOnDisk(t *testing.T) {
	need.Root(t)
	need.Tool(t, "mkfs.ext4")
	for _, storage := range []string{"image", "memory"} {
		t.Run(storage, func(t *testing.T) {
			dir := t.TempDir()
			b := backends.Open("jail", stored(t, dir, storage), backends.Config{})
			t.Cleanup(func() { b.Close() })
			limits := sandbox.Limits{Disk: 32 << 20, Memory: 256 << 20}
			// The snapshot is of one with a larger disk, so that all of it would not fit into those that begin with it.
			origin := more(t, b, sandbox.Spec{ID: "origin", Limits: sandbox.Limits{Disk: 128 << 20, Memory: 256 << 20}})
			does(t, origin, "head -c 40M /dev/zero >large; echo first >file; echo mine >$HOME/mine; mkdir sub")
			made := snapshot(t, origin, "s")
			if made.Way != backends.WayCopy || !strings.Contains(made.Why, "image") {
				t.Errorf("made by %s: %s", made.Way, made.Why)
			}
			spec := sandbox.Spec{ID: "fork", Epoch: 1, From: "s", Limits: limits}
			s := more(t, b, spec)
			if got := does(t, s, "cat file $HOME/mine; stat -c %s large; ls /run/sandtree; stat -c %U file"); got != "first\nmine\n41943040\nstate\nsandbox" {
				t.Errorf("the fork has %q", got)
			}
			if got := does(t, s, "echo second >file; mv sub moved; head -c 100M /dev/zero 2>&1 >much; rm much; echo room >again; cat again"); !strings.Contains(got, "No space left") || !strings.HasSuffix(got, "room") {
				t.Errorf("filling it says %q", got)
			}
			if got := does(t, origin, "cat file; ls -d sub"); got != "first\nsub" {
				t.Errorf("then the first has %q", got)
			}
			snapshot(t, s, "t")
			if err := s.Halt(t.Context()); err != nil {
				t.Fatal(err)
			}
			spec.Epoch = 2
			s = more(t, b, spec)
			want := map[string]string{"image": "second\nagain file large moved", "memory": "first\nfile large sub"}[storage]
			if got := does(t, s, "cat file; echo $(ls)"); got != want {
				t.Errorf("revived, it has %q", got)
			}
			if err := b.Restore(t.Context(), "fork", 2, "t"); err != nil {
				t.Fatal(err)
			}
			for epoch := range uint64(2) { // it is no other the next time
				spec.Epoch = 3 + epoch
				s = more(t, b, spec)
				if got := does(t, s, "cat file; echo $(ls); touch new; rm new"); got != "second\nagain file large moved" {
					t.Errorf("restored, it has %q", got)
				}
				if err := s.Halt(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.Restore(t.Context(), "origin", 0, "t"); err != nil { // which had no layers
				t.Fatal(err)
			}
			origin = more(t, b, sandbox.Spec{ID: "origin", Epoch: 1, Limits: sandbox.Limits{Disk: 128 << 20, Memory: 256 << 20}})
			if got := does(t, origin, "cat file; echo $(ls)"); got != "second\nagain file large moved" {
				t.Errorf("the first, restored, has %q", got)
			}
			for _, name := range []string{"s", "t"} {
				if err := b.RemoveSnapshot(t.Context(), name); err != nil {
					t.Error(err)
				}
			}
			if got := does(t, origin, "cat file"); got != "second" {
				t.Errorf("without the snapshot it has %q", got)
			}
			for _, id := range []sandbox.ID{"fork", "origin"} {
				if err := b.Remove(t.Context(), id, backends.AnyEpoch, 0); err != nil {
					t.Error(err)
				}
			}
			if n := layersIn(t, dir); n != 0 {
				t.Errorf("%d layers are left", n)
			}
			mounts, err := os.ReadFile("/proc/self/mountinfo")
			if err != nil || strings.Contains(string(mounts), dir) {
				t.Errorf("mounts are left, or %v", err)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "jail", "[^.]*")); len(left) > 0 {
				t.Errorf("left are %v", left)
			}
		})
	}
}
