package bench

import (
	"runtime"
	"testing"
)

// What depends on what was measured before, garbage and memory that is kept free, is not counted, or two runs of the same would differ.
func TestLiveMemoryIsWhatIsInUse(t *testing.T) {
	const size = 32 << 20
	before := live()
	garbage := make([]byte, size)
	garbage[0] = 1
	held := make([]byte, size)
	held[0] = 1
	runtime.KeepAlive(garbage)
	if grown := live() - before; grown < size*9/10 || grown > size*11/10 {
		t.Errorf("it has grown by %d bytes, want %d", grown, size)
	}
	runtime.KeepAlive(held)
	if left := live() - before; left > size/10 {
		t.Errorf("%d bytes are left", left)
	}
}
