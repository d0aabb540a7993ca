package actors

import (
	"log/slog"
	"sync"

	"github.com/sandtree/sandtree/sandbox"
)

// audience are those who watch the output of one action. They come and go while it runs.
type audience struct {
	mu   sync.Mutex
	taps []*tap
}

// tap is where one of them gets the output, until it is closed.
type tap struct {
	mu  sync.Mutex // held while out is called, so that close returns after the last call
	out sandbox.Output
}

// newTap makes a tap; nil for those who do not want to see.
func newTap(out sandbox.Output) *tap {
	if out == nil {
		return nil
	}
	return &tap{out: out}
}

func (t *tap) close() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out = nil
}

func (t *tap) give(offset int64, p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out == nil {
		return
	}
	defer func() { // the function is the embedder's: what fails in it must not look like a failure of the sandbox
		if v := recover(); v != nil {
			slog.Error("an output function panicked and is not called again", "panic", v)
			t.out = nil
		}
	}()
	t.out(offset, p)
}

func (a *audience) add(t *tap) {
	if t == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.taps = append(a.taps[:len(a.taps):len(a.taps)], t) // a copy: output may be walking the old one
}

// output is a sandbox.Output. It waits for the slowest.
func (a *audience) output(offset int64, p []byte) {
	a.mu.Lock()
	taps := a.taps
	a.mu.Unlock()
	for _, t := range taps {
		t.give(offset, p)
	}
}
