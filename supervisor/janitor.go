package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sandtree/sandtree/actors"
	"github.com/sandtree/sandtree/actors/kit"
)

// Janitor says when sandboxes are ended that nobody drives any more, as those of a process that was killed.
type Janitor struct {
	// Grace is how long such a sandbox is left alone after it was driven last, and after the System was opened, so that
	// whoever comes back has the time to. A longer OrphanAfter of its spec counts instead, which by default is 10 minutes;
	// one that is negative keeps it for ever.
	Grace time.Duration
	// Interval is the time between looks for such sandboxes that nothing gives cause for; 0 means 1 minute, negative none.
	Interval time.Duration
}

// check says whether j makes sense. Code: Invalid, naming the field.
func (j Janitor) check() error {
	if j.Grace < 0 {
		return invalid("Config.Janitor.Grace", fmt.Errorf("%v is negative", j.Grace))
	}
	return nil
}

// A Finding is one sandbox as a janitor finds it, and a Rule says which are ended.
type (
	Finding = actors.Finding
	Rule    = actors.Rule
)

const defaultInterval = time.Minute

func (s *System) backendNames() []string { return slices.Sorted(maps.Keys(s.backends)) }

// tend makes the janitors, and the group of each backend.
func (s *System) tend() kit.Member {
	c := s.cfg
	var members []kit.Member
	for _, name := range s.backendNames() {
		j := actors.NewJanitor(actors.JanitorConfig{
			Estate: s.backends[name], Registry: actors.Keep(s.journal), Runtimes: s.runtimes, Owner: s.owner, TTL: c.LeaseTTL, Grace: c.Grace,
			Rule: Rule{Grace: c.Janitor.Grace, Since: time.Now()}, Interval: cmp.Or(c.Janitor.Interval, defaultInterval), Log: c.Log,
		})
		s.janitors = append(s.janitors, j)
		var of []kit.Member
		if p := s.pools[name]; p != nil {
			of = append(of, p.Member())
		}
		group := kit.Group(OneForOne(Restart{Spent: GiveUp}), append(of, j.Member())...) // neither needs the other
		members = append(members, kit.MemberOf[kit.None](name, kit.Permanent, group, nil))
	}
	return kit.MemberOf[kit.None]("backends", kit.Permanent, kit.Group(OneForOne(Restart{Spent: GiveUp}), members...), nil)
}

// Collect looks at the sandboxes of all backends now and ends those that nobody drives any more and that r says. It tells of
// all that there are, by backend and id. ctx bounds the wait, not the work. The error is of backends that could not be
// looked at; what is told of the others is good. Codes: Denied, Exhausted, Unavailable, Canceled.
func (s *System) Collect(ctx context.Context, r Rule) ([]Finding, error) {
	found, errs := make([][]Finding, len(s.janitors)), make([]error, len(s.janitors))
	var wg sync.WaitGroup
	for i, j := range s.janitors {
		wg.Go(func() { found[i], errs[i] = j.Collect(ctx, r) })
	}
	wg.Wait()
	all := slices.Concat(found...)
	slices.SortFunc(all, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Backend, b.Backend), strings.Compare(string(a.ID), string(b.ID)))
	})
	return all, errors.Join(errs...)
}
