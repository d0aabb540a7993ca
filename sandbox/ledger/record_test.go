package ledger

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
)

// FuzzFile opens any bytes as a ledger: it must say Invalid or work, and what it then holds must be there again.
func FuzzFile(f *testing.F) {
	record := func(dst []byte, typ byte, id string, content []byte) []byte {
		dst, _ = appendRecord(dst, typ, id, content)
		return append(dst, content...)
	}
	good := record([]byte(magic), recordReceived, "a", make([]byte, 32))
	good = record(good, recordDone, "a", []byte("answer"))
	good = record(good, recordEpoch, "", appendUint64(nil, 9))
	good = record(good, recordGone, "", make([]byte, 32))
	good = record(good, recordReceived, "b", make([]byte, 32))
	f.Add(good)
	f.Add(good[:len(good)-7])
	f.Add([]byte(magic))
	f.Add([]byte("something else"))
	f.Add(record([]byte(magic), recordDone, "never received", nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "l")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(Config{Path: path, Keep: 3, MaxBytes: 100})
		if err != nil {
			if sandbox.CodeOf(err) != sandbox.Invalid {
				t.Fatal(err)
			}
			return
		}
		interrupted := len(l.Interrupted())
		e, fresh, err := l.Begin("fresh-id", [32]byte{1})
		if err == nil && fresh {
			err = e.Done([]byte("new"))
		}
		if err != nil && sandbox.CodeOf(err) != sandbox.Conflict {
			t.Fatal(err)
		}
		epoch, answers := l.epoch, len(l.done)
		l.Close()
		if l, err = Open(Config{Path: path, Keep: 3, MaxBytes: 100}); err != nil {
			t.Fatalf("opened once, but not twice: %v", err)
		}
		defer l.Close()
		if l.epoch != epoch || len(l.done) != answers || fresh && len(l.Interrupted()) != interrupted {
			t.Errorf("epoch %d, %d answers, %d interrupted; were %d, %d, %d", l.epoch, len(l.done), len(l.Interrupted()), epoch, answers, interrupted)
		}
		if fresh {
			if e, ok := l.Lookup("fresh-id"); !ok || !bytes.Equal(e.answer, []byte("new")) {
				t.Error("the new answer is gone")
			}
		}
	})
}

func TestTheOldestGoneAreForgotten(t *testing.T) {
	g := goneSet{limit: 3}
	for _, id := range []string{"a", "b", "b", "c", "d", "e"} {
		g.add(goneKeyOf(id))
	}
	for id, want := range map[string]bool{"a": false, "b": false, "c": true, "d": true, "e": true} {
		if g.has(id) != want {
			t.Errorf("has(%s) = %v", id, !want)
		}
	}
	again := goneSet{limit: 3}
	for b := g.appendTo(nil); len(b) > 0; b = b[16:] {
		again.add(goneKey(b[:16]))
	}
	again.add(goneKeyOf("f"))
	if again.has("c") || !again.has("d") {
		t.Error("the order was lost on the way through the file")
	}
}

// The set does what a map and a list would, also where keys meet in its index.
func TestGoneSetAgainstAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, limit := range []int{1, 5, 40, 200} {
		g, want, order := goneSet{limit: limit}, map[goneKey]bool{}, []goneKey(nil)
		for range 20_000 {
			k := goneKey{3: byte(random.IntN(4) * 85), 15: byte(random.IntN(2 * limit))} // few homes, some at the end
			if g.add(k); !want[k] {
				want[k], order = true, append(order, k)
			}
			if len(order) > limit {
				delete(want, order[0])
				order = order[1:]
			}
			probe := goneKey{3: byte(random.IntN(4) * 85), 15: byte(random.IntN(2 * limit))}
			if got := g.index[g.slot(probe)] != 0; got != want[probe] {
				t.Fatalf("limit %d: has(%x) = %v", limit, probe, got)
			}
		}
		var all []byte
		for _, k := range order {
			all = append(all, k[:]...)
		}
		if !bytes.Equal(g.appendTo(nil), all) {
			t.Errorf("limit %d: the order is lost", limit)
		}
	}
}

func BenchmarkAction(b *testing.B) {
	l, err := Open(Config{Path: filepath.Join(b.TempDir(), "l")})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	answer := make([]byte, 500)
	b.ReportAllocs()
	for b.Loop() {
		e, _, err := l.Begin(sandbox.NewActionID(), [32]byte{})
		if err != nil {
			b.Fatal(err)
		}
		if err := e.Done(answer); err != nil {
			b.Fatal(err)
		}
	}
}
