package jail_test

import (
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// TestKilledImport kills controllers that import a root of several layers: while they unpack, and about when the layers get their
// places. The next one finds all of it, or nothing.
func TestKilledImport(t *testing.T) {
	need.Root(t)
	need.Tool(t, "go")
	root, dir := image(t), t.TempDir()
	b := rooted(t, dir, root)
	s := more(t, b, sandbox.Spec{ID: "origin", Epoch: 1})
	for _, name := range []string{"one", "two", "three"} {
		does(t, s, "mkdir -p /srv; head -c 2000000 /dev/urandom >/srv/"+name+"; rm -f /srv/gone; touch /srv/gone")
		snapshot(t, s, name)
	}
	archive := exported(t, b, "three")
	program := filepath.Join(t.TempDir(), "imports")
	if out, err := exec.Command("go", "build", "-o", program, "./testdata/imports").CombinedOutput(); err != nil {
		t.Fatalf("build it: %v\n%s", err, out)
	}
	whole := 0
	for round := range 8 {
		elsewhere := t.TempDir()
		cmd := exec.Command(program, elsewhere, sandboxdtest.Binary(t), root)
		in, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		over := make(chan error, 1)
		go func() { over <- cmd.Wait() }()
		length, at := len(archive)/2, "fs/root.1" // in the midst of the second
		if round%2 == 1 {
			length, at = len(archive), "fs/root.2"
		}
		wrote := make(chan struct{})
		go func() {
			defer close(wrote)
			_, _ = in.Write(archive[:length]) // which is cut off too
			if round%2 == 1 {
				_ = in.Close()
			}
		}()
		appears(filepath.Join(elsewhere, "jail/.layers/.new-*", at), over)
		if round%2 == 1 {
			time.Sleep(time.Duration(rand.IntN(10_000)) * time.Microsecond) // anywhere in what follows
		}
		_ = cmd.Process.Kill()
		<-over
		<-wrote
		_ = in.Close()
		whole += arrived(t, elsewhere, root, round%2 == 0)
	}
	t.Logf("%d were whole", whole)
	rootedLeavesNothing(t, b, dir, root, []string{"one", "two", "three"}, "origin")
}

// appears waits until there is a file, or what makes it is over, which it leaves in over.
func appears(pattern string, over chan error) {
	for late := time.Now().Add(time.Minute); time.Now().Before(late); {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return
		}
		select {
		case err := <-over:
			over <- err
			return
		case <-time.After(100 * time.Microsecond):
		}
	}
}

// arrived looks what there is of an import that was cut off: 1 if it is whole, which it cannot be if it was cut off early.
func arrived(t *testing.T, dir, root string, early bool) int {
	t.Helper()
	b := rooted(t, dir, root)
	defer b.Close()
	all, err := b.Snapshots(t.Context())
	layers := layersIn(t, dir)
	half, _ := filepath.Glob(filepath.Join(dir, "jail/.*/.*"))
	if err != nil || len(all) > 1 || layers != 3*len(all) || len(half) != 0 || early && len(all) != 0 {
		t.Errorf("there are %d snapshots and %d layers, half made are %q, %v", len(all), layers, half, err)
	}
	if len(all) == 1 {
		if err := b.Export(t.Context(), "moved", io.Discard, backends.ArchiveBounds{}); err != nil {
			t.Error(err)
		}
	}
	return len(all)
}
