package kit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// trace is what happened, in order, as words.
type trace struct {
	mu    sync.Mutex
	words []string
}

func (t *trace) add(format string, a ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.words = append(t.words, fmt.Sprintf(format, a...))
}

func (t *trace) take() string {
	synctest.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	s := strings.Join(t.words, " ")
	t.words = nil
	return s
}

func (t *trace) expect(tb testing.TB, want string) {
	tb.Helper()
	if got := t.take(); got != want {
		tb.Errorf("happened: %s\nwant:     %s", got, want)
	}
}

// puppet is an actor that does as it is told.
type puppet struct {
	name  string
	trace *trace
	start func(*Context[order]) error
	stop  func(error)
	plan  Strategy
	count int
}

type order interface{}

type (
	fail    struct{ err error }
	crash   struct{}
	say     struct{ word string }
	ask     struct{ Reply[int] }
	faulty  struct{ Reply[int] }
	work    func(context.Context) order
	visitAs func(*Context[order])
)

func (p *puppet) Started(c *Context[order]) error {
	p.trace.add("+%s", p.name)
	if p.start != nil {
		return p.start(c)
	}
	return nil
}

func (p *puppet) Stopped(_ *Context[order], err error) {
	p.trace.add("-%s", p.name)
	if p.stop != nil {
		p.stop(err)
	}
}

func (p *puppet) Strategy() Strategy { return p.plan }

func (p *puppet) Receive(c *Context[order], m order) error {
	p.count++
	switch m := m.(type) {
	case fail:
		return m.err
	case crash:
		panic("crash")
	case say:
		p.trace.add("%s:%s", p.name, m.word)
	case ask:
		m.OK(p.count)
	case faulty:
		panic("over a question")
	case work:
		c.Task(m)
	case visitAs:
		m(c)
	}
	return nil
}

// restart begins the dead child again after a while, however often.
func restart(after time.Duration) Strategy {
	return func(d Death, h History) []Effect {
		return []Effect{{Op: Begin, Child: d.Who, After: after, Attempt: len(h) + 1, Of: 9}}
	}
}

func inBubble(t *testing.T, f func(t *testing.T, s *System, tr *trace), strategy Strategy) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tr := &trace{}
		s := NewSystem(Config{
			Strategy:     strategy,
			OnDeadLetter: func(path string, m any) { tr.add("dead:%v", m) },
		})
		f(t, s, tr)
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if left := s.Actors(); len(left) > 0 {
			t.Errorf("actors left: %v", left)
		}
	})
}

func spawnPuppet(t *testing.T, s *System, name string, p puppet) Ref[order] {
	t.Helper()
	r, err := Spawn(s, name, Permanent, func() Actor[order] { p := p; p.name = name; return &p })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var errBoom = errors.New("boom")

func TestAsk(t *testing.T) {
	inBubble(t, func(t *testing.T, s *System, tr *trace) {
		r := spawnPuppet(t, s, "a", puppet{trace: tr})
		number := func(r Reply[int]) order { return ask{r} }
		if n, err := Ask(t.Context(), r, number); n != 1 || err != nil {
			t.Errorf("Ask = %d, %v", n, err)
		}
		if _, err := Ask(t.Context(), r, func(r Reply[int]) order { return faulty{r} }); sandbox.CodeOf(err) != sandbox.Internal {
			t.Errorf("asked what makes it panic: %v, want Internal", err)
		}
		// Restarting takes a second; the question waits in the queue, or not.
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := Ask(ctx, r, number); sandbox.CodeOf(err) != sandbox.Canceled || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("asked with a context that ends: %v", err)
		}
		if n, err := Ask(t.Context(), r, number); n != 2 || err != nil { // the question given up on was still the first
			t.Errorf("Ask across a restart = %d, %v", n, err)
		}
		r.Stop()
		if _, err := Ask(t.Context(), r, number); sandbox.CodeOf(err) != sandbox.Unavailable {
			t.Errorf("asked one that has ended: %v", err)
		}
		if _, err := Ask(t.Context(), Ref[order]{}, number); sandbox.CodeOf(err) != sandbox.Unavailable {
			t.Errorf("asked nobody: %v", err)
		}
	}, restart(time.Second))
}

func TestRestartKeepsNameAndQueue(t *testing.T) {
	inBubble(t, func(t *testing.T, s *System, tr *trace) {
		r := spawnPuppet(t, s, "a", puppet{trace: tr})
		for _, m := range []order{say{"1"}, crash{}, say{"2"}, say{"3"}, fail{errBoom}, say{"4"}} {
			r.Tell(m)
		}
		tr.expect(t, "+a a:1 -a")
		time.Sleep(time.Second)
		tr.expect(t, "+a a:2 a:3 -a")
		r.Tell(say{"5"})
		time.Sleep(time.Second)
		tr.expect(t, "+a a:4 a:5")
	}, restart(time.Second))
}

func TestTasks(t *testing.T) {
	inBubble(t, func(t *testing.T, s *System, tr *trace) {
		r := spawnPuppet(t, s, "a", puppet{trace: tr})
		after := func(d time.Duration, word string) work {
			return func(context.Context) order { time.Sleep(d); return say{word} }
		}
		r.Tell(after(time.Second, "x"))
		time.Sleep(time.Second)
		tr.expect(t, "+a a:x")

		// What an older incarnation started is waited for before the next begins, and its result is for nobody.
		r.Tell(after(2*time.Second, "old"))
		r.Tell(crash{})
		tr.expect(t, "-a")
		time.Sleep(3*time.Second - time.Nanosecond)
		tr.expect(t, "")
		time.Sleep(time.Nanosecond)
		tr.expect(t, "+a")

		// But not for ever.
		r.Tell(after(time.Minute, "stuck"))
		r.Tell(crash{})
		time.Sleep(5*time.Second + time.Second)
		tr.expect(t, "-a +a")
		time.Sleep(time.Minute)
		tr.expect(t, "")

		r.Tell(work(func(context.Context) order { panic("in a task") }))
		time.Sleep(time.Second)
		tr.expect(t, "-a +a")

		ended := false
		r.Tell(work(func(ctx context.Context) order { <-ctx.Done(); ended = true; return nil }))
		synctest.Wait()
		r.Stop()
		if <-r.Done(); !ended {
			t.Error("the actor has ended before its task")
		}
	}, restart(time.Second))
}

func TestTimers(t *testing.T) {
	inBubble(t, func(t *testing.T, s *System, tr *trace) {
		r := spawnPuppet(t, s, "a", puppet{trace: tr})
		var stop func()
		r.Tell(visitAs(func(c *Context[order]) {
			c.After(time.Second, say{"tick"})
			stop = c.After(time.Second, say{"stopped"})
			c.After(time.Minute, say{"old"})
		}))
		synctest.Wait()
		stop()
		time.Sleep(time.Second)
		tr.expect(t, "+a a:tick")
		r.Tell(crash{})
		time.Sleep(time.Minute)
		tr.expect(t, "-a +a")
	}, restart(0))
}

// nest makes an actor with children of the given names, spelled "a(b c(d))".
func nest(tr *trace, name string, inner ...func(*Context[order]) error) func(*Context[order]) error {
	return func(c *Context[order]) error {
		_, err := SpawnChild(c, name, Permanent, func() Actor[order] {
			return &puppet{name: name, trace: tr, start: func(c *Context[order]) error {
				for _, f := range inner {
					if err := f(c); err != nil {
						return err
					}
				}
				return nil
			}}
		})
		return err
	}
}

func TestStopEndsChildrenFirstAndYoungestFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, s *System, tr *trace) {
		spawnPuppet(t, s, "a", puppet{trace: tr, start: func(c *Context[order]) error {
			return errors.Join(nest(tr, "b")(c), nest(tr, "c", nest(tr, "d"), nest(tr, "e"))(c))
		}})
		synctest.Wait()
		if got := s.Actors(); !slices.Equal(got, []string{"/a", "/a/b", "/a/c", "/a/c/d", "/a/c/e"}) {
			t.Errorf("actors: %v", got)
		}
		tr.take()
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		tr.expect(t, "-a -c -e -d -b") // each hears of it before its children, and goes after them
	}, nil)
}

func TestFailureBeginsWithTheChildrenGone(t *testing.T) {
	inBubble(t, func(t *testing.T, s *System, tr *trace) {
		r := spawnPuppet(t, s, "a", puppet{trace: tr, start: func(c *Context[order]) error {
			return errors.Join(nest(tr, "b")(c), nest(tr, "c")(c))
		}})
		tr.take()
		r.Tell(crash{})
		tr.expect(t, "-a -c -b")
		if got := s.Actors(); !slices.Equal(got, []string{"/a"}) {
			t.Errorf("actors while it is down: %v", got)
		}
		time.Sleep(time.Hour)
		tr.take()
	}, restart(time.Hour))
}

func TestStoppedMayPanicAndStartedMayFail(t *testing.T) {
	inBubble(t, func(t *testing.T, s *System, tr *trace) {
		tries := 0
		r := spawnPuppet(t, s, "a", puppet{trace: tr,
			stop: func(error) { panic("in Stopped") },
			start: func(*Context[order]) error {
				if tries++; tries < 3 {
					return errBoom
				}
				return nil
			}})
		r.Tell(say{"hello"})
		time.Sleep(3 * time.Second)
		tr.expect(t, "+a -a +a -a +a a:hello")
		r.Stop()
		<-r.Done()
	}, restart(time.Second))
}

func TestDeadLetters(t *testing.T) {
	inBubble(t, func(t *testing.T, s *System, tr *trace) {
		r := spawnPuppet(t, s, "a", puppet{trace: tr})
		hold := make(chan struct{})
		go r.Tell(visitAs(func(*Context[order]) { <-hold })) // in a goroutine, which is the one that handles it
		synctest.Wait()
		r.Tell(say{"queued"})
		r.Stop()
		close(hold)
		<-r.Done()
		if r.Tell(say{"late"}) {
			t.Error("Tell to one that has ended is true")
		}
		tr.expect(t, "+a -a dead:{queued} dead:{late}")
	}, nil)
}

func TestEscalationEndsTheSystem(t *testing.T) {
	inBubble(t, func(t *testing.T, s *System, tr *trace) {
		var b Ref[order]
		spawnPuppet(t, s, "a", puppet{trace: tr, start: func(c *Context[order]) (err error) {
			b, err = SpawnChild(c, "b", Permanent, func() Actor[order] { return &puppet{name: "b", trace: tr} })
			return err
		}})
		synctest.Wait()
		b.Tell(fail{errBoom})
		<-s.Done()
		if !errors.Is(s.Err(), errBoom) {
			t.Errorf("the system ended with %v", s.Err())
		}
		tr.expect(t, "+a +b -b -a")
		if _, err := Spawn(s, "c", Permanent, func() Actor[order] { return &puppet{} }); sandbox.CodeOf(err) != sandbox.Unavailable {
			t.Errorf("Spawn in a system that has ended: %v", err)
		}
	}, nil)
}

func TestNames(t *testing.T) {
	inBubble(t, func(t *testing.T, s *System, tr *trace) {
		r := spawnPuppet(t, s, "a", puppet{trace: tr})
		synctest.Wait()
		make := func() Actor[order] { return &puppet{name: "a", trace: tr} }
		if _, err := Spawn(s, "a", Permanent, make); sandbox.CodeOf(err) != sandbox.Conflict {
			t.Errorf("a name twice: %v", err)
		}
		if _, err := Spawn(s, "a/b", Permanent, make); sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("a name with a slash: %v", err)
		}
		r.Stop()
		<-r.Done()
		synctest.Wait()
		if _, err := Spawn(s, "a", Permanent, make); err != nil {
			t.Errorf("the name of one that has ended: %v", err)
		}
		synctest.Wait()
		if r.Tell(say{"x"}) {
			t.Error("the old Ref reaches the new actor")
		}
		tr.expect(t, "+a -a +a dead:{x}")
	}, nil)
}

func TestNormalEnd(t *testing.T) {
	ref, wait := Start(t.Context(), &puppet{name: "a", trace: &trace{}})
	ref.Tell(fail{ErrNormal})
	if err := wait(); err != nil {
		t.Errorf("a clean end: %v", err)
	}
}
