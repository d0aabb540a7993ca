package transport

import (
	"math"
	"testing"
	"time"

	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// Of a try one frame counts, whatever the sandbox sends, and its times are those that the try had.
func TestOneFrameOfSpansCountsAndStaysWithinItsTry(t *testing.T) {
	var heard []trace.Span
	tr := traced{span: trace.NewTracer(1, func(s trace.Span) { heard = append(heard, s) }).Root("test")}
	before := time.Now()
	for range 2 {
		tr.attempt()
		parent := tr.now.ID().String()
		frame := wire.AppendSpans(nil, []wire.Span{
			{Name: "sandboxd.action", ID: "0000000000000001", Parent: parent, Begun: 0, Ended: 1},
			{Name: "process", ID: "0000000000000002", Parent: parent, Begun: math.MaxInt64 - 1, Ended: math.MaxInt64},
		})[wire.FrameHeader:]
		tr.took(frame)
		tr.took(frame)
		tr.attempted(nil)
	}
	if len(heard) != 6 { // two of each try, and the try
		t.Errorf("%d spans", len(heard))
	}
	for _, s := range heard {
		if s.Begun.Before(before.Add(-time.Millisecond)) || s.Ended.After(time.Now()) || s.Ended.Before(s.Begun) {
			t.Errorf("%s from %v to %v", s.Name, s.Begun, s.Ended)
		}
	}
}
