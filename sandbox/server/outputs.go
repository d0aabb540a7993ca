package server

import (
	"sync"
	"time"

	"github.com/sandtree/sandtree/sandbox/shell"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// outputs holds the end of what a process has written, each stream by itself, for any number of followers.
type outputs struct {
	mu        sync.Mutex
	streams   [2]ring // by shell.Stdout, shell.Stderr
	followers []*follower
	moved     chan struct{} // a follower has moved on or left; has room for one
}

// A follower reads outputs, each stream from its own offset. It belongs to one goroutine.
type follower struct {
	o    *outputs
	wake chan struct{} // has room for one

	// Guarded by o.mu:
	deaf    [2]bool // to these streams
	at      [2]uint64
	enough  uint64 // bytes that are worth waking it for; 1 once it streams
	stalled bool   // the output does not wait for it
}

func newOutputs(maxOutput int) *outputs {
	return &outputs{streams: [2]ring{newRing(maxOutput), newRing(maxOutput)}, moved: make(chan struct{}, 1)}
}

// print adds to a stream. A follower that would miss something by that is waited for, but not long and not again and again.
func (o *outputs) print(stream int, p []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := &o.streams[stream]
	o.hesitateLocked(stream, uint64(len(p)))
	out.write(out.end, p)
	for _, f := range o.followers {
		if f.behindLocked() >= f.enough {
			wake(f.wake)
		}
	}
}

// backPressure is how long a process waits, as it would for the reader of a pipe, for a follower that would miss output.
// Long enough for one that a loaded machine keeps off its processors (50 ms were not); one that takes no more is given up.
const backPressure = time.Second

// hesitateLocked lets go of o.mu meanwhile. One goroutine prints to a stream.
func (o *outputs) hesitateLocked(stream int, n uint64) {
	var timer *time.Timer
	for over := false; ; {
		out := &o.streams[stream]
		behind := false
		for _, f := range o.followers {
			late := !f.deaf[stream] && out.end+n-min(f.at[stream], out.end) > uint64(out.max)
			if f.stalled = f.stalled || over && late; late && !f.stalled {
				behind = true
				wake(f.wake) // it may wait for plenty
			}
		}
		if !behind {
			return
		}
		if timer == nil {
			timer = time.NewTimer(backPressure)
			defer timer.Stop()
		}
		o.mu.Unlock()
		select {
		case <-o.moved:
		case <-timer.C:
			over = true
		}
		o.mu.Lock()
	}
}

// follow gives a follower from the offsets on, but of no stream that it is deaf to.
func (o *outputs) follow(at [2]uint64, deaf [2]bool) *follower {
	f := &follower{o: o, wake: make(chan struct{}, 1), enough: plenty, deaf: deaf}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range f.at {
		f.at[i] = min(at[i], o.streams[i].end)
	}
	o.followers = append(o.followers, f)
	return f
}

// leave ends the following. It may be called twice.
func (f *follower) leave() {
	f.o.mu.Lock()
	defer f.o.mu.Unlock()
	for i, other := range f.o.followers {
		if other == f {
			last := len(f.o.followers) - 1
			f.o.followers[i] = f.o.followers[last]
			f.o.followers = f.o.followers[:last]
			wake(f.o.moved)
			return
		}
	}
}

// behindLocked is how much there is for it.
func (f *follower) behindLocked() (n uint64) {
	for i := range f.at {
		if !f.deaf[i] {
			n += f.o.streams[i].end - f.at[i]
		}
	}
	return n
}

// stream has it woken for every byte from now on.
func (f *follower) stream() {
	f.o.mu.Lock()
	defer f.o.mu.Unlock()
	f.enough = 1
	if f.behindLocked() > 0 {
		wake(f.wake)
	}
}

// take appends frames of what there is for it, of at most limit bytes, and moves it on. What is no longer held is skipped,
// which shows as a jump of the offset.
func (f *follower) take(dst []byte, limit int) []byte {
	f.o.mu.Lock()
	defer f.o.mu.Unlock()
	for i, typ := range [2]byte{shell.Stdout: wire.FrameOutput, shell.Stderr: wire.FrameStderr} {
		if f.deaf[i] {
			continue
		}
		out := &f.o.streams[i]
		f.at[i] = max(f.at[i], out.start())
		for limit > 0 && f.at[i] < out.end {
			p := out.piece(f.at[i])
			p = p[:min(len(p), limit, wire.MaxPayload)]
			dst = append(wire.AppendFrameHeader(dst, typ, f.at[i], len(p)), p...)
			f.at[i] += uint64(len(p))
			limit -= len(p)
		}
	}
	f.stalled = f.stalled && f.behindLocked() > 0
	wake(f.o.moved)
	return dst
}

// held tells of the streams.
func (o *outputs) held() (h [2]wire.Held) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.streams {
		h[i] = wire.Held{Length: o.streams[i].end, From: o.streams[i].start()}
	}
	return h
}

// bytes is the memory they take.
func (o *outputs) bytes() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.streams[0].buf) + len(o.streams[1].buf)
}

// drop gives back that memory; only their lengths stay.
func (o *outputs) drop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.streams {
		end := o.streams[i].end
		o.streams[i] = ring{base: end, end: end, max: o.streams[i].max}
	}
}
