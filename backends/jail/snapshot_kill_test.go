package jail_test

import (
	"bufio"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// TestKilledSnapshot kills controllers that make one snapshot after the other. The next one finds the sandbox, or revives it, with
// all that was written, in its workspace, and can go on; every snapshot that there is can be begun with; and when all is
// removed nothing is left.
func TestKilledSnapshot(t *testing.T) {
	killedSnapshot(t, 8, "$HOME/mine", func(dir string) *backends.Backend { return backends.Open("jail", open(t, dir), backends.Config{}) })
}

// TestKilledRooted is the same where what was written over the root is kept too.
func TestKilledRooted(t *testing.T) {
	root := image(t)
	killedSnapshot(t, 3, "/etc/mine", func(dir string) *backends.Backend { return rooted(t, dir, root) }, root)
}

func killedSnapshot(t *testing.T, rounds int, mine string, opens func(dir string) *backends.Backend, root ...string) {
	need.Root(t)
	need.Tool(t, "go")
	program := filepath.Join(t.TempDir(), "snapshots")
	if out, err := exec.Command("go", "build", "-o", program, "./testdata/snapshots").CombinedOutput(); err != nil {
		t.Fatalf("build it: %v\n%s", err, out)
	}
	dir := t.TempDir()
	written := 0
	for round := range rounds {
		cmd := exec.Command(program, append([]string{dir, sandboxdtest.Binary(t), strconv.Itoa(2*round + 1)}, root...)...)
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 3 {
			if !lines.Scan() {
				break
			}
			written++
		}
		time.Sleep(time.Duration(rand.IntN(12_000)) * time.Microsecond) // anywhere in the next one
		cmd.Process.Kill()
		for lines.Scan() {
			written++
		}
		cmd.Wait()
		if strings.Contains(said.String(), "panic") {
			t.Fatalf("round %d: the controller said %s", round, said.String())
		}
		written = survived(t, opens(dir), mine, uint64(2*round+2), written)
	}
	b := opens(dir)
	defer b.Close()
	all, err := b.Snapshots(t.Context())
	if err != nil || len(all) < 3*rounds {
		t.Errorf("%d snapshots, %v", len(all), err)
	}
	last := more(t, b, sandbox.Spec{ID: "last", From: all[len(all)-1].Name})
	if n, _ := strconv.Atoi(does(t, last, "mapfile -t f <file; echo ${#f[@]}")); n == 0 || n > written {
		t.Errorf("the last snapshot has %d lines of %d", n, written)
	}
	for _, s := range all {
		if err := b.RemoveSnapshot(t.Context(), s.Name); err != nil {
			t.Error(err)
		}
	}
	for _, id := range []sandbox.ID{"web", "last"} {
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
}

// survived looks whether a sandbox whose controller was killed has what was written, and gives how much that is.
func survived(t *testing.T, b *backends.Backend, mine string, epoch uint64, written int) int {
	t.Helper()
	defer b.Close()
	s, err := b.Attach(t.Context(), "web", epoch)
	if sandbox.CodeOf(err) == sandbox.NotFound {
		t.Logf("epoch %d: revived", epoch)
		s, err = b.Start(t.Context(), sandbox.Spec{ID: "web", Epoch: epoch})
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := strings.Fields(does(t, s, "pwd; mapfile -t f <file; mapfile -t m <"+mine+"; echo ${#f[@]} ${#m[@]}"))
	if len(got) != 3 || got[0] != "/workspace" {
		t.Fatalf("epoch %d: it has %q", epoch, got)
	}
	file, _ := strconv.Atoi(got[1])
	also, _ := strconv.Atoi(got[2])
	if file < written || file > written+1 || also < written || also > file {
		t.Fatalf("epoch %d: %d and %d lines, and %d were written", epoch, file, also, written)
	}
	if _, err := s.Snapshot(t.Context(), "after"+strconv.FormatUint(epoch, 10)); err != nil {
		t.Fatal(err)
	}
	if also < file {
		does(t, s, "echo y >>"+mine)
	}
	return file
}
