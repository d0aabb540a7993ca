package actors

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// TestNobodyWaitsForAStewardThatIsNoMore has the journal hang while a steward loses its lease, or stops: who waits for something to be
// on record, written or next to be, hears of it.
func TestNobodyWaitsForAStewardThatIsNoMore(t *testing.T) {
	for name, end := range map[string]func(r *rig){
		"fenced": func(r *rig) {
			r.store.mu.Lock()
			defer r.store.mu.Unlock()
			l := *r.store.leases["a"]
			l.holder, l.epoch = "another", l.epoch+1
			r.store.leases["a"] = &l
		},
		"stopped": func(r *rig) { go r.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "one", newMemory(), newWorld())
				defer r.world.end()
				defer r.stop()
				s := r.open("a")
				hangs := make(chan struct{})
				defer close(hangs)
				r.store.mu.Lock()
				r.store.hangs = hangs
				r.store.mu.Unlock()
				answers := make(chan error, 2)
				for range cap(answers) { // the second waits for the first
					go func() { answers <- s.Commit(t.Context(), "audit", []byte(`{}`)) }()
					synctest.Wait()
				}
				end(r)
				time.Sleep(10 * ttl)
				for n := range cap(answers) {
					select {
					case err := <-answers:
						if code := sandbox.CodeOf(err); code != sandbox.Conflict && code != sandbox.Unavailable {
							t.Errorf("answer %d is %v", n, err)
						}
					default:
						t.Fatalf("%d still wait", cap(answers)-n)
					}
				}
			})
		})
	}
}

// TestNotesOfAFencedOne has a connection of a sandbox told to a steward that has lost it.
func TestNotesOfAFencedOne(t *testing.T) {
	s := &steward{fenced: failure(sandbox.Conflict, "lease", "a", "lost"), lease: &memLease{}}
	for range 3 {
		s.note(nil, note{typ: "audit", bodies: [][]byte{[]byte(`{}`)}})
	}
	if len(s.outbox) != 0 || s.recording {
		t.Errorf("it keeps %d of them", len(s.outbox))
	}
}
