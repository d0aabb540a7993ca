package server

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// held reads all that r has.
func held(r *ring) []byte {
	var b []byte
	for at := r.start(); at < r.end; {
		p := r.piece(at)
		b = append(b, p...)
		at += uint64(len(p))
	}
	return b
}

func TestRingHoldsTheEnd(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{1, 1 << 10, 3000, 1 << 14} {
		r := newRing(size)
		var all []byte
		for len(all) < 10*r.max {
			p := make([]byte, random.IntN(3*minRing))
			if random.IntN(20) == 0 {
				p = make([]byte, r.max+random.IntN(2*r.max))
			}
			for i := range p {
				p[i] = byte(random.Uint32())
			}
			overlap := min(random.IntN(10), len(all)) // a source may repeat itself
			r.write(uint64(len(all)-overlap), append(bytes.Clone(all[len(all)-overlap:]), p...))
			all = append(all, p...)
			if r.end != uint64(len(all)) {
				t.Fatalf("size %d: the end is %d, want %d", size, r.end, len(all))
			}
			want := all[max(0, len(all)-r.max):]
			if got := held(&r); !bytes.HasSuffix(want, got) || len(got) < min(len(all), r.max/2) {
				t.Fatalf("size %d: holds %d bytes that are not the last of %d", size, len(got), len(all))
			}
			if len(r.buf) > r.max {
				t.Fatalf("size %d: takes %d bytes", size, len(r.buf))
			}
		}
		if got, want := held(&r), all[len(all)-r.max:]; !bytes.Equal(got, want) {
			t.Errorf("size %d: full, it holds %d bytes, want the last %d", size, len(got), len(want))
		}
	}
}

func TestRingBeginsAgainAfterAGap(t *testing.T) {
	r := newRing(minRing)
	r.write(0, []byte("before"))
	r.write(10_000, []byte("after"))
	if got := string(held(&r)); got != "after" || r.start() != 10_000 || r.end != 10_005 {
		t.Errorf("holds %q from %d to %d", got, r.start(), r.end)
	}
}

func TestRingTakesWhatItNeeds(t *testing.T) {
	r := newRing(1 << 20)
	if len(r.buf) != 0 {
		t.Error("an empty ring takes memory")
	}
	r.write(0, []byte("hi"))
	if len(r.buf) != minRing {
		t.Errorf("two bytes take %d", len(r.buf))
	}
}
