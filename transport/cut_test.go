package transport_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/pipenet"
	"github.com/sandtree/sandtree/transport"
)

// Thousands of actions over connections that are cut at random bytes: in the request, in the head of the answer, in a
// frame, between frames. Each runs once, and whoever asked sees its output whole, in order, and its observation.
func TestExactlyOnceOverConnectionsThatAreCut(t *testing.T) {
	const callers, each = 8, 400
	pipenet.Test(t, func(t *testing.T) {
		leak.Check(t)
		var mu sync.Mutex
		ran := map[string]int{}
		f := &fake{perform: func(id string, a sandbox.Action, print func(string)) sandbox.Observation {
			mu.Lock()
			ran[id]++
			mu.Unlock()
			for i := range 5 {
				print(fmt.Sprintf("%s line %d\n", id, i))
				time.Sleep(time.Duration(rand.N(20)) * time.Millisecond)
			}
			return echo(id, a, print)
		}}
		n := pipenet.Listen()
		f.serve(t, n)
		c := client(t, pipenet.Cutting(n.Dial, 42, 700), transport.Config{})
		var wg sync.WaitGroup
		for caller := range callers {
			wg.Go(func() {
				for i := range each {
					insist(t, c, fmt.Sprintf("a-%d-%d", caller, i))
				}
			})
		}
		wg.Wait()
		for id, n := range ran {
			if n != 1 {
				t.Errorf("%s ran %d times", id, n)
			}
		}
		if len(ran) != callers*each {
			t.Errorf("%d actions ran, want %d", len(ran), callers*each)
		}
		s := c.Stats()
		if s.Resumes < callers*each/4 {
			t.Errorf("only %d resumes: the cuts are too few to show anything", s.Resumes)
		}
		t.Logf("%d actions, %d connections, %d retries, of which %d resumes", callers*each, s.Dials, s.Retries, s.Resumes)
	})
}

// insist does what a supervisor does: an action that never arrived is sent again, one whose fate is not known is settled.
func insist(t *testing.T, c *transport.Client, id string) {
	var want strings.Builder
	for i := range 5 {
		fmt.Fprintf(&want, "%s line %d\n", id, i)
	}
	want.WriteString("end of " + id)
	for {
		var r recorded
		obs, err := c.Do(t.Context(), run(id, "end of "+id), r.out)
		for sandbox.CodeOf(err) == sandbox.Lost {
			r = recorded{}
			obs, err = c.Settle(t.Context(), id, r.out)
		}
		if code := sandbox.CodeOf(err); code == sandbox.Unavailable || code == sandbox.NotFound {
			time.Sleep(time.Second) // the breaker is open
			continue
		}
		if err != nil || obs.Content != "end of "+id || r.text.String() != want.String() || r.jumps != nil {
			t.Errorf("%s: content %q, output %q, jumps %v, error %v", id, obs.Content, r.text.String(), r.jumps, err)
		}
		return
	}
}
