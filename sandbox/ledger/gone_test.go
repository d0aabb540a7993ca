package ledger

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sandtree/sandtree/testing/need"
)

// goneAt opens a set beside a ledger that is called l.
func goneAt(t testing.TB, dir string, limit int) *goneSet {
	t.Helper()
	g := &goneSet{limit: limit}
	if dir != "" {
		g.path = filepath.Join(dir, "l.gone")
	}
	if err := g.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.close() })
	return g
}

func (g *goneSet) mustHave(t testing.TB, id string, want bool) {
	t.Helper()
	if got, err := g.has(id); got != want || err != nil {
		t.Errorf("has(%s) = %v, %v", id, got, err)
	}
}

func TestTheLastGoneAreRemembered(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		g := goneAt(t, dir, 30)
		for i := range 1000 {
			if i%7 == 0 && dir != "" { // another server, after a kill
				g = goneAt(t, dir, 30)
			}
			g.mustHave(t, fmt.Sprint(i), false)
			g.add(keyOf(fmt.Sprint(i)))
			for back := range min(i+1, 30) {
				g.mustHave(t, fmt.Sprint(i-back), true)
			}
			g.add(keyOf(fmt.Sprint(i))) // again
		}
		g.mustHave(t, fmt.Sprint(1000-2*30-2), false)
		if g.recent.taken > 31 || g.older.taken > 31 || len(g.unsaved) > 0 {
			t.Errorf("%d, %d and %d", g.recent.taken, g.older.taken, len(g.unsaved))
		}
	}
}

// A table does what a map would, also where keys meet in a slot, have the same tag, and go on at the beginning.
func TestTableAgainstAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, slots := range []int{4, 50, 1000} {
		f, err := os.Create(filepath.Join(t.TempDir(), "t"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		table, err := makeTable(f, make([]byte, slots))
		if err != nil {
			t.Fatal(err)
		}
		want := map[key]bool{}
		some := func() key { return max(1, key(random.Uint64N(4)<<62)-key(random.Uint64N(uint64(slots)))) }
		for range 100 * slots {
			if k := some(); !table.full() {
				want[k] = true
				if err := table.add(k); err != nil {
					t.Fatal(err)
				}
			}
			k := some()
			if _, got, err := table.find(k); got != want[k] || err != nil {
				t.Fatalf("%d slots: find(%x) = %v, %v", slots, k, got, err)
			}
		}
		again, err := readTable(f)
		if err != nil || again.taken != len(want) || table.taken != len(want) {
			t.Errorf("%d taken, then %d, of %d; %v", table.taken, again.taken, len(want), err)
		}
		for k := range want {
			if _, got, err := again.find(k); !got || err != nil {
				t.Errorf("find(%x) = %v, %v", k, got, err)
			}
		}
	}
}

// Where the disk is too full for a table the ledger's own file remembers, until there is room.
func TestGoneWithoutRoomAreRemembered(t *testing.T) {
	need.Root(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("mount tmpfs: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	path, filler := filepath.Join(dir, "l"), filepath.Join(dir, "filler")
	reopen := func(l *Ledger) *Ledger {
		if l != nil {
			l.Close()
		}
		l, err := Open(Config{Path: path, Keep: 4}) // the table takes 12 kB
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	n := 0
	perform := func(l *Ledger, times int) {
		for range times {
			n++
			e, fresh, err := l.Begin(fmt.Sprint(n), [32]byte{})
			if err == nil && fresh {
				err = e.Done(nil)
			}
			if err != nil || !fresh {
				t.Fatalf("%d: fresh %v, %v", n, fresh, err)
			}
		}
	}
	known := func(l *Ledger) {
		t.Helper()
		for i := range n {
			if _, fresh, _ := l.Begin(fmt.Sprint(i+1), [32]byte{}); fresh {
				t.Fatalf("%d would be performed again", i+1)
			}
		}
	}
	l := reopen(nil)
	if err := os.WriteFile(filler, make([]byte, 180<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	perform(l, 20)
	if l.gone.recent != nil || len(l.gone.unsaved) == 0 {
		t.Error("there is a table, where no room for one should be")
	}
	if err := l.file.compact(l.snapshotLocked); err != nil {
		t.Fatal(err)
	}
	known(l)
	l = reopen(l)
	known(l)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	perform(l, 40)
	if l.gone.recent == nil || len(l.gone.unsaved) > 0 {
		t.Errorf("%d are not in a table, though there is room", len(l.gone.unsaved))
	}
	l = reopen(l)
	defer l.Close()
	known(l)
}

// BenchmarkNew is the question whether an action is new, with a full table.
func BenchmarkNew(b *testing.B) {
	g := goneAt(b, b.TempDir(), defaultKeep*goneFactor)
	for range g.limit - 1 {
		g.add(max(1, key(rand.Uint64())))
	}
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = fmt.Sprint("an-action-with-an-id-", i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if found, err := g.has(ids[i%len(ids)]); found || err != nil {
			b.Fatal(found, err)
		}
	}
}

// BenchmarkGone is what it costs to remember one.
func BenchmarkGone(b *testing.B) {
	g := goneAt(b, b.TempDir(), defaultKeep*goneFactor)
	for b.Loop() {
		g.add(max(1, key(rand.Uint64())))
	}
}
