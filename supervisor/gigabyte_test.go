package supervisor

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
)

// TestGigabyteInConstantMemory moves a gigabyte into a sandbox and out again. Neither this program nor the server inside
// may hold more of it at a time than they would of a megabyte.
func TestGigabyteInConstantMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	const size = 1 << 30
	rt := openRuntime(t, openSystem(t, stateDir(t), nil), sandbox.Spec{ID: "big"})
	seen, err := rt.Run(context.Background(), "echo $SANDBOXD_PID", nil)
	if err != nil {
		t.Fatal(err)
	}
	server := strings.TrimSpace(seen.Content)
	before, allocated := peak(t, server), allocations()

	up := sha256.New()
	if err := rt.Put(context.Background(), "big", io.TeeReader(io.LimitReader(&noise{random: rand.NewChaCha8([32]byte{1})}, size), up)); err != nil {
		t.Fatal(err)
	}
	down := &counting{Hash: sha256.New()}
	if err := rt.Get(context.Background(), "big", down); err != nil {
		t.Fatal(err)
	}
	if down.n != size || string(up.Sum(nil)) != string(down.Sum(nil)) {
		t.Errorf("%d bytes came back, or others", down.n)
	}
	ours, theirs := allocations()-allocated, peak(t, server)-before
	t.Logf("this program allocated %d kB in all, the server grew by %d kB at most", ours>>10, theirs>>10)
	const limit = 32 << 20 // three per cent of what was moved
	if ours > limit || theirs > limit {
		t.Errorf("want less than %d kB each", limit>>10)
	}
}

// noise is random enough, and quick.
type noise struct{ random *rand.ChaCha8 }

func (n *noise) Read(p []byte) (int, error) { return n.random.Read(p) }

type counting struct {
	hash.Hash
	n int64
}

func (c *counting) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.Hash.Write(p)
}

func allocations() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// peak is the most memory that a process has had, in bytes.
func peak(t *testing.T, pid string) uint64 {
	t.Helper()
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kB uint64
	if _, err := fmt.Sscan(rest, &kB); err != nil {
		t.Fatal(err)
	}
	return kB << 10
}
