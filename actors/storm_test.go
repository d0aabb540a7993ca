package actors

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/sandbox"
)

// TestStorm lets sandboxes die, hang and be forgotten, and controllers die, at random moments of virtual days, while
// actions are asked for, again and again until they are answered. No action is done twice, every one that was answered as
// done was done, and the history has one end for each.
func TestStorm(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { storm(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func storm(t *testing.T, random *rand.Rand) {
	const actions = 150
	store, w := newMemory(), newWorld()
	defer w.end()
	var ran []string // by sandboxes that are gone
	r := newRig(t, "owner-0", store, w)
	owners := 1
	answers := map[string]sandbox.Observation{}
	for n := 0; n < actions; {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+random.IntN(30_000))*time.Millisecond)
		id := fmt.Sprintf("act-%d", n)
		done := make(chan struct{})
		go func() {
			defer close(done)
			s, _, err := r.runtimes.Open(ctx, r.order("a"))
			if err != nil {
				if s.ID() != "" {
					_ = s.Reopen(ctx)
				}
				return
			}
			if seen, err := s.Do(ctx, command(id, "work "+id), nil); err == nil {
				answers[id] = seen
			}
		}()
		time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond)
		if b := w.box("a"); b != nil {
			switch random.IntN(12) {
			case 0, 1:
				b.kill(sandbox.Exit{Signal: 9})
			case 2:
				b.mu.Lock()
				b.deaf = !b.deaf
				b.mu.Unlock()
			case 3: // the next start finds nothing
				b.kill(sandbox.Exit{Signal: 9})
				b.mu.Lock()
				ran = append(ran, b.ran...)
				b.mu.Unlock()
				w.mu.Lock()
				delete(w.boxes, "a")
				w.mu.Unlock()
			}
		}
		if random.IntN(10) == 0 {
			cancel()
			<-done
			r.stop()
			r = newRig(t, fmt.Sprintf("owner-%d", owners), store, w)
			owners++
		}
		<-done
		cancel()
		if _, ok := answers[id]; ok {
			n++
		}
	}
	if b := w.box("a"); b != nil {
		ran = append(ran, b.ran...)
	}
	r.stop()
	check(t, store, ran, answers)
}

func check(t *testing.T, store *memory, ran []string, answers map[string]sandbox.Observation) {
	t.Helper()
	interrupted := 0
	for id, seen := range answers {
		times := 0
		for _, c := range ran {
			if c == "work "+id {
				times++
			}
		}
		if seen.Interrupted() {
			interrupted++
		}
		if times > 1 || times == 0 && !seen.Interrupted() {
			t.Errorf("%s was done %d times, answered %+v", id, times, seen)
		}
	}
	count := map[string]int{}
	for _, rec := range store.recs {
		if rec.Type == journal.TypeAction || rec.Type == journal.TypeObservation {
			count[rec.Type+" "+rec.ActionID]++
		}
	}
	for what, n := range count {
		if n != 1 {
			t.Errorf("%s is %d times on record", what, n)
		}
	}
	if left, _ := store.Unsettled(t.Context(), "a"); slices.ContainsFunc(left, func(r journal.Record) bool { return answers[r.ActionID].Result != nil }) {
		t.Errorf("answered, and not settled: %v", left)
	}
	t.Logf("%d actions, %d interrupted, %d begun", len(answers), interrupted, len(ran))
}
