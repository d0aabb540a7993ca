package figures

import (
	"errors"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

func TestHistogram(t *testing.T) {
	h := NewHistogram([]int64{1, 10})
	for _, v := range []int64{0, 1, 2, 10, 11, 1000} {
		h.Add(v)
	}
	count, sum, upTo := h.Read()
	if count != 6 || sum != 1024 || upTo[1] != 2 || upTo[10] != 4 || len(upTo) != 2 {
		t.Errorf("%d, %d, %v", count, sum, upTo)
	}
}

func TestOutcomes(t *testing.T) {
	var o Outcomes
	o.Add(nil)
	o.Add(&sandbox.Error{Code: sandbox.Lost})
	o.Add(errors.New("anything else is a bug"))
	got := map[sandbox.Code]uint64{}
	o.Each(func(c sandbox.Code, n uint64) { got[c] = n })
	if len(got) != 3 || got[""] != 1 || got[sandbox.Lost] != 1 || got[sandbox.Internal] != 1 {
		t.Errorf("%v", got)
	}
	if len(o.codes) != len(sandbox.Codes) {
		t.Errorf("%d codes, %d counters", len(sandbox.Codes), len(o.codes))
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	h, o, begun := NewHistogram(Durations), &Outcomes{}, time.Now()
	if n := testing.AllocsPerRun(100, func() { h.Since(begun); o.Add(nil); o.AddCode(sandbox.Lost) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
