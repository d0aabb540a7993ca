package wire_test

import (
	"testing"

	"github.com/sandtree/sandtree/sandbox/wire"
)

// BenchmarkAppendFrame is output on its way out, in pieces as a terminal gives them.
func BenchmarkAppendFrame(b *testing.B) {
	payload := make([]byte, 4096)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		dst = wire.AppendFrame(dst[:0], wire.Frame{Type: wire.FrameOutput, Offset: 1 << 20, Payload: payload})
	}
}
