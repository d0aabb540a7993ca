package journal

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
)

// childPath builds the program that is killed; without the race detector, under which SQLite takes a second to start.
var childPath = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "journal-test-")
	if err != nil {
		return "", err
	}
	buildDir = dir
	path := filepath.Join(dir, "child")
	out, err := exec.Command("go", "build", "-o", path, "./testdata/child").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return path, err
})

var buildDir string // "" until childPath is called

func TestMain(m *testing.M) {
	code := m.Run()
	if buildDir != "" {
		os.RemoveAll(buildDir)
	}
	os.Exit(code)
}

type childProcess struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func spawn(t testing.TB, path, role string) *childProcess {
	t.Helper()
	program, err := childPath()
	if err != nil {
		t.Fatal(err)
	}
	c := &childProcess{Cmd: exec.Command(program, path, role)}
	c.Stderr = os.Stderr
	c.in, _ = c.StdinPipe()
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
	t.Cleanup(func() { _ = c.Process.Kill() })
	return c
}

// TestKilledProcessesLoseNothing kills a process in the middle of its appends, again and again; the next one takes the
// lease over at once, and all that was acknowledged is there, numbered without gaps.
func TestKilledProcessesLoseNothing(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 20
	}
	path := temp(t)
	acked := map[uint64]string{}
	for range rounds {
		c := spawn(t, path, "append")
		upTo := 1 + rand.IntN(60)
		for n := 0; c.out.Scan(); n++ {
			if n == upTo {
				_ = c.Process.Kill()
			}
			var seq uint64
			var word string
			if _, err := fmt.Sscan(c.out.Text(), &seq, &word); err != nil {
				break // the last line was cut
			}
			acked[seq] = word
		}
		_ = c.Wait()
	}
	if len(acked) < rounds {
		t.Fatalf("only %d appends in %d rounds", len(acked), rounds)
	}
	j := open(t, path)
	recs, err := j.Read(t.Context(), "a", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range recs {
		if r.Seq != uint64(i+1) {
			t.Fatalf("record %d has number %d", i+1, r.Seq)
		}
		if word, ok := acked[r.Seq]; ok && word != r.ActionID {
			t.Fatalf("record %d is %s, acknowledged was %s", r.Seq, r.ActionID, word)
		}
		delete(acked, r.Seq)
	}
	if len(acked) > 0 {
		t.Errorf("%d acknowledged records are not there: %v", len(acked), acked)
	}
	if last := recs[len(recs)-1]; last.Epoch != uint64(rounds) {
		t.Errorf("the last of %d processes had epoch %d", rounds, last.Epoch)
	}
	t.Logf("%d processes killed, %d records", rounds, len(recs))
}

// TestKilledProcessesLoseNothingLogged is the same for what is logged.
func TestKilledProcessesLoseNothingLogged(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	path := temp(t)
	told := map[string]bool{}
	for range rounds {
		c := spawn(t, path, "log")
		upTo := 1 + rand.IntN(60)
		for n := 0; c.out.Scan(); n++ {
			if n == upTo {
				_ = c.Process.Kill()
			}
			if word := c.out.Text(); len(word) == len(sandbox.NewActionID()) { // the last may be cut
				told[word] = true
			}
		}
		_ = c.Wait()
	}
	all := len(told)
	j := open(t, path)
	seen := map[string]bool{}
	for i, r := range read(t, j, "b") {
		if r.Seq != uint64(i+1) || seen[r.ActionID] {
			t.Fatalf("record %d: number %d, action %s, seen before: %v", i+1, r.Seq, r.ActionID, seen[r.ActionID])
		}
		seen[r.ActionID] = true
		delete(told, r.ActionID)
	}
	if len(told) > 0 {
		t.Errorf("%d of %d acknowledged records are not there", len(told), all)
	}
	if left := sides(t, path); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	t.Logf("%d processes killed, %d records told, %d there", rounds, all, len(seen))
}
