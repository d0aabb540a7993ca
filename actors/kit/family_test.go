package kit

import (
	"testing"
	"testing/synctest"
	"time"
)

// restForOne pauses the younger ones, begins the dead one after a second and then the others.
func restForOne(d Death, h History) (out []Effect) {
	for i := len(d.Children) - 1; i > d.Who; i-- {
		out = append(out, Effect{Op: Pause, Child: i})
	}
	out = append(out, Effect{Op: Begin, Child: d.Who, After: time.Second, Attempt: len(h) + 1})
	for i := d.Who + 1; i < len(d.Children); i++ {
		out = append(out, Effect{Op: Begin, Child: i})
	}
	return out
}

func TestPlans(t *testing.T) {
	inBubble(t, func(t *testing.T, s *System, tr *trace) {
		refs := map[string]Ref[order]{}
		for _, n := range []string{"a", "b", "c", "d"} {
			refs[n] = spawnPuppet(t, s, n, puppet{trace: tr})
			synctest.Wait()
		}
		tr.take()

		refs["b"].Tell(crash{})
		tr.expect(t, "-b -d -c")
		refs["d"].Tell(say{"kept"})
		time.Sleep(time.Second)
		tr.expect(t, "+b +c +d d:kept")

		// An older sibling dies while a younger one waits for its restart: one plan takes the place of the other.
		refs["c"].Tell(crash{})
		tr.expect(t, "-c -d")
		time.Sleep(time.Second / 2)
		refs["a"].Tell(crash{})
		tr.expect(t, "-a -b")
		time.Sleep(time.Second / 2)
		tr.expect(t, "")
		time.Sleep(time.Second / 2)
		tr.expect(t, "+a +b +c +d")

		// A younger one dies while the older ones run on.
		refs["d"].Tell(crash{})
		synctest.Wait()
		refs["a"].Tell(say{"fine"})
		time.Sleep(time.Second)
		tr.expect(t, "-d a:fine +d")

		// One is told to end for good in the middle of a plan that includes it.
		refs["b"].Tell(crash{})
		synctest.Wait()
		refs["c"].Stop()
		<-refs["c"].Done()
		time.Sleep(time.Second)
		tr.expect(t, "-b -d -c +b +d")
	}, restForOne)
}

func TestEventsOfChildren(t *testing.T) {
	inBubble(t, func(t *testing.T, s *System, tr *trace) {
		w := &watcher{tr: tr}
		r, err := Spawn(s, "w", Permanent, func() Actor[order] { return w })
		if err != nil {
			t.Fatal(err)
		}
		tr.expect(t, "up")
		w.child.Tell(fail{errBoom})
		tr.expect(t, "died(boom,1/2,1s)")
		time.Sleep(time.Second)
		tr.expect(t, "up")
		w.child.Tell(fail{errBoom})
		tr.expect(t, "ended(boom)")
		if err := w.child.Err(); err != errBoom {
			t.Errorf("the child ended with %v", err)
		}
		r.Tell(visitAs(w.spawn))
		tr.expect(t, "up")
		r.Tell(visitAs(func(c *Context[order]) { c.StopChild("kid"); c.StopChild("nobody") }))
		tr.expect(t, "ended(<nil>)")
	}, nil)
}

type watcher struct {
	tr    *trace
	child Ref[order]
}

func (w *watcher) Started(c *Context[order]) error { w.spawn(c); return nil }

func (w *watcher) spawn(c *Context[order]) {
	w.child, _ = SpawnChild(c, "kid", Permanent, func() Actor[order] { return &puppet{name: "kid", trace: &trace{}} })
}

func (w *watcher) Receive(c *Context[order], m order) error { m.(visitAs)(c); return nil }

func (w *watcher) Strategy() Strategy {
	return func(d Death, h History) []Effect {
		if len(h) > 0 {
			return []Effect{{Op: End, Child: d.Who}}
		}
		return []Effect{{Op: Begin, Child: d.Who, After: time.Second, Attempt: 1, Of: 2}}
	}
}

func (w *watcher) Child(_ *Context[order], e ChildEvent) error {
	switch e.What {
	case Up:
		w.tr.add("up")
	case Died:
		w.tr.add("died(%v,%d/%d,%v)", e.Err, e.Attempt, e.Of, time.Until(e.Next))
	case Ended:
		w.tr.add("ended(%v)", e.Err)
	}
	return nil
}

func TestGroup(t *testing.T) {
	inBubble(t, func(t *testing.T, s *System, tr *trace) {
		var a, b Ref[order]
		member := func(name string, ref *Ref[order]) Member {
			return MemberOf(name, Permanent, func() Actor[order] { return &puppet{name: name, trace: tr} }, func(r Ref[order]) { *ref = r })
		}
		if _, err := Spawn(s, "g", Permanent, Group(restForOne, member("a", &a), member("b", &b))); err != nil {
			t.Fatal(err)
		}
		tr.take()
		a.Tell(crash{})
		time.Sleep(time.Second)
		tr.expect(t, "-a -b +a +b")
		b.Tell(crash{})
		time.Sleep(time.Second)
		tr.expect(t, "-b +b")
	}, nil)
}
