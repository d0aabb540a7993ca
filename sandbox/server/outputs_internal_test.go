package server

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox/shell"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// A follower that does not stream yet is waited for too: it misses nothing, however late it gets a processor.
func TestOutputsWaitForAFollowerFromTheBeginning(t *testing.T) {
	o := newOutputs(minRing)
	f := o.follow([2]uint64{}, [2]bool{shell.Stderr: true})
	defer f.leave()
	want := strings.Repeat("0123456789", 1000)
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		for i := 0; i < len(want); i += 100 {
			o.print(shell.Stderr, bytes.Repeat([]byte{'e'}, 5*minRing)) // to which it is deaf
			o.print(shell.Stdout, []byte(want[i:i+100]))
		}
	}()
	<-f.wake // though there is not plenty
	f.stream()
	got := ""
	for len(got) < len(want) {
		frames := wire.NewFrameReader(bytes.NewReader(f.take(nil, chunk)))
		for frame, err := frames.Next(); err == nil; frame, err = frames.Next() {
			if frame.Type != wire.FrameOutput || frame.Offset != uint64(len(got)) {
				t.Fatalf("a frame %c at %d, want one of output at %d", frame.Type, frame.Offset, len(got))
			}
			got += string(frame.Payload)
		}
		if len(got) < len(want) {
			<-f.wake
		}
	}
	<-printed
	if got != want {
		t.Errorf("%d bytes differ from the %d that were printed", len(got), len(want))
	}
}
