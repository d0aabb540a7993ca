package jail_test

import (
	"context"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
)

// placed is a sandbox of a driver on a state directory, for tests of snapshots.
func placed(t testing.TB, dir string, spec sandbox.Spec) (*backends.Backend, *backends.Sandbox) {
	t.Helper()
	b := backends.Open("jail", open(t, dir), backends.Config{})
	t.Cleanup(func() { b.Close() })
	return b, more(t, b, spec)
}

func more(t testing.TB, b *backends.Backend, spec sandbox.Spec) *backends.Sandbox {
	t.Helper()
	s, err := b.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Remove(context.WithoutCancel(t.Context()), spec.ID, backends.AnyEpoch, 0); err != nil {
			t.Error(err)
		}
		s.Close()
	})
	return s
}

func does(t testing.TB, s *backends.Sandbox, command string) string {
	t.Helper()
	o, err := s.Do(t.Context(), sandbox.Action{Args: sandbox.RunArgs{Command: command, Blocking: true}}, nil)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return strings.TrimSpace(o.Content)
}

func snapshot(t testing.TB, s *backends.Sandbox, name string) backends.Snapshot {
	t.Helper()
	made, err := s.Snapshot(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func layersIn(t testing.TB, dir string) int {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "jail", ".layers", "[^.]*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(slices.DeleteFunc(all, func(p string) bool { return filepath.Base(p) == "lock" }))
}

// TestSnapshotByLayer asserts that nothing is copied where nothing is in the way, that layers are kept as long as they are
// referred to and no longer, and that the chain of them has an end.
func TestSnapshotByLayer(t *testing.T) {
	need.Root(t)
	leak.Check(t)
	dir := t.TempDir()
	b, s := placed(t, dir, sandbox.Spec{ID: "many", Epoch: 1})
	const most = 64
	for i := range most + 2 {
		does(t, s, "echo "+strconv.Itoa(i)+" >>file; mkdir d"+strconv.Itoa(i)+"; mv d"+strconv.Itoa(i)+" e"+strconv.Itoa(i))
		made := snapshot(t, s, "s"+strconv.Itoa(i))
		if want := map[bool]string{true: backends.WayLayer, false: backends.WayCopy}[i < most-1]; made.Way != want {
			t.Fatalf("snapshot %d was made by %s (%s), want %s", i, made.Way, made.Why, want)
		}
	}
	last := more(t, b, sandbox.Spec{ID: "last", From: "s" + strconv.Itoa(most+1)})
	if got := does(t, last, "wc -l <file; ls -d e* | wc -l"); got != "66\n66" {
		t.Errorf("a fork of the last has %q", got)
	}
	deep := more(t, b, sandbox.Spec{ID: "deep", From: "s" + strconv.Itoa(most-2)})
	if got := does(t, deep, "wc -l <file; ls -d e* | wc -l"); got != "63\n63" {
		t.Errorf("a fork of the deepest has %q", got)
	}
	for i := range most + 2 {
		if err := b.RemoveSnapshot(t.Context(), "s"+strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []sandbox.ID{"many", "last"} {
		if err := b.Remove(t.Context(), id, backends.AnyEpoch, 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := layersIn(t, dir); n != most { // its own and those below
		t.Errorf("%d layers are left", n)
	}
	if got := does(t, deep, "wc -l <file"); got != "63" {
		t.Errorf("then it has %q", got)
	}
	if err := b.Remove(t.Context(), "deep", backends.AnyEpoch, 0); err != nil {
		t.Fatal(err)
	}
	if n := layersIn(t, dir); n != 0 {
		t.Errorf("%d layers are left of nothing", n)
	}
}

// BenchmarkSnapshot makes a snapshot of a workspace with 2000 files of 50 kB, 100 MB, in which a shell is, and writes a file
// after each. The programs stand still for us/still; ns/op has the asking of the shell in it.
func BenchmarkSnapshot(b *testing.B) {
	need.Root(b)
	benchmarkSnapshot(b, backends.Open("jail", open(b, b.TempDir()), backends.Config{}), ".")
}

// BenchmarkRootedSnapshot does so where the root can be written to, and the 100 MB were written there.
func BenchmarkRootedSnapshot(b *testing.B) {
	need.Root(b)
	benchmarkSnapshot(b, rooted(b, b.TempDir(), image(b)), "/srv")
}

func benchmarkSnapshot(b *testing.B, back *backends.Backend, where string) {
	b.Cleanup(func() { back.Close() })
	s := more(b, back, sandbox.Spec{ID: "bench", Epoch: 1, Limits: sandbox.Limits{ActionTimeout: time.Minute}})
	does(b, s, "mkdir -p "+where+"; cd "+where+"; mkdir many; for i in {1..2000}; do head -c 50000 /dev/zero >many/$i; done; cd /workspace")
	var still []time.Duration
	n := 0
	for b.Loop() {
		made := snapshot(b, s, "b"+strconv.Itoa(n))
		if n%40 == 39 { // stay below the bound of layers
			b.StopTimer()
			if err := back.Restore(b.Context(), "bench", uint64(n), "b0"); err != nil {
				b.Fatal(err)
			}
			s = more(b, back, sandbox.Spec{ID: "bench", Epoch: uint64(n + 1)})
			b.StartTimer()
		}
		n++
		if made.Way != backends.WayLayer {
			b.Fatalf("by %s: %s", made.Way, made.Why)
		}
		still = append(still, made.Took)
		does(b, s, "echo x >>"+where+"/file")
	}
	slices.Sort(still)
	b.ReportMetric(float64(still[len(still)/2].Microseconds()), "us/still-p50")
	b.ReportMetric(float64(still[len(still)/10].Microseconds()), "us/still-p10")
	for i := range n {
		if err := back.RemoveSnapshot(context.WithoutCancel(b.Context()), "b"+strconv.Itoa(i)); err != nil {
			b.Error(err)
		}
	}
}
