package bench

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/sandtree/sandtree/bench/target"
	"github.com/sandtree/sandtree/sandbox"
)

// A tally is what was told of numbered commands, to be compared with what they did and with what is on record.
type tally struct {
	mu   sync.Mutex
	next int
	told map[int]word
}

// A word is what was told of a command.
type word int

const (
	asked       word = iota // nobody has said anything
	ended                   // it was performed
	interrupted             // it was cut off, and is not performed again
	refused                 // it was not begun
)

func newTally() *tally { return &tally{told: map[int]word{}} }

// number gives the next one.
func (t *tally) number() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	t.told[t.next] = asked
	return t.next
}

func (t *tally) tell(n int, w word) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told[n] = w
	t.next = max(t.next, n)
}

// perform asks for a numbered command under its id and notes what came of it. After an error that leaves it open nothing is told: it may be
// asked for again.
func (t *tally) perform(ctx context.Context, rt target.Once, n int) error {
	seen, err := rt.RunOnce(ctx, actionID(n), numbered(n))
	switch {
	case err == nil && seen.Interrupted:
		t.tell(n, interrupted)
	case err == nil:
		t.tell(n, ended)
	}
	return err
}

// settle asks again for what nobody has told of, as whoever embeds a runtime would.
func (t *tally) settle(ctx context.Context, rt target.Once) error {
	t.mu.Lock()
	var open []int
	for n := 1; n <= t.next; n++ {
		if w, there := t.told[n]; there && w == asked {
			open = append(open, n)
		}
	}
	t.mu.Unlock()
	for _, n := range open {
		if err := t.perform(ctx, rt, n); err != nil {
			return fmt.Errorf("command %d: %w", n, err)
		}
	}
	return nil
}

// compare counts the commands that are lost, of which nobody ever told or that were told of and not done; those that are
// repeated, done or on record more than once; and those that were done though they were refused, which are repeated too, as
// whoever was refused asks again.
func (t *tally) compare(ctx context.Context, rt target.Runtime) (lost, repeated int64, err error) {
	seen, err := rt.Run(ctx, "cat numbers")
	if err != nil {
		return 0, 0, err
	}
	times := map[int]int{}
	for _, line := range strings.Fields(seen.Output) {
		var n int
		if _, err := fmt.Sscan(line, &n); err != nil {
			return 0, 0, &sandbox.Error{Code: sandbox.Internal, Op: "count", Err: fmt.Errorf("%.40q is no number", line)}
		}
		times[n]++
	}
	accounts := map[string]target.Account{}
	if accountant, ok := rt.(target.Accountant); ok {
		if accounts, err = accountant.Accounts(ctx); err != nil {
			return 0, 0, err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for n, w := range t.told {
		a := accounts[actionID(n)]
		switch {
		case w == asked, w == ended && times[n] == 0:
			lost++
		case times[n] > 1, a.Asked > 1, a.Seen > 1, w == refused && times[n] > 0:
			repeated++
		}
		delete(times, n)
	}
	return lost, repeated + int64(len(times)), nil // what nobody asked for is not done either
}

// count gives how many are told of so.
func (t *tally) count(w word) (n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range t.told {
		if x == w {
			n++
		}
	}
	return n
}
