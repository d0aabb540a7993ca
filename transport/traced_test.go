package transport_test

import (
	"context"
	"testing"
	"time"

	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// What a sandbox says of its own part is taken for what it says of the action, and for no more.
func TestSpansOfAStrangerStayBelowOurs(t *testing.T) {
	const far = int64(1 << 60) // by a clock that is years ahead
	forged := []wire.Span{
		{Name: "of no try", ID: "0000000000000001", Parent: "00f067aa0ba902b7", Begun: far, Ended: far + 1},
		{Name: "no id", ID: "xyxyxyxyxyxyxyxy", Parent: "0000000000000001", Begun: far, Ended: far + 1},
		{Name: "zero", ID: "0000000000000000", Parent: "0000000000000000", Begun: far, Ended: far + 1},
	}
	done := wire.AppendNativeObservation(nil, sandbox.Observation{Result: sandbox.RunResult{Command: "true"}}, time.Now())
	body := wire.AppendFrame(wire.AppendSpans(nil, forged), wire.Frame{Type: wire.FrameDone, Payload: done})
	for _, spans := range [][]byte{body, append(wire.AppendFrame(nil, wire.Frame{Type: wire.FrameSpans, Payload: []byte("{")}), body...)} {
		var heard []trace.Span
		root := trace.NewTracer(1, func(s trace.Span) { heard = append(heard, s) }).Root("test")
		ctx := trace.With(context.Background(), root)
		if _, err := answering(t, spans).Do(ctx, sandbox.Action{Args: sandbox.RunArgs{Command: "true"}}, nil); err != nil {
			t.Fatal(err)
		}
		if len(heard) != 1 || heard[0].Name != "transport.attempt" || heard[0].Parent != root.ID() {
			t.Errorf("%+v", heard)
		}
	}
}
