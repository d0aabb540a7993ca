package breaker_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/transport/breaker"
)

var (
	errDown    = errors.New("down")        // a failure
	errRefused = errors.New("refused")     // an answer, so not a failure
	errGone    = errors.New("caller gone") // says nothing
)

func config() breaker.Config {
	return breaker.Config{
		Failures: 3,
		Cooldown: time.Second,
		Failed:   func(err error) bool { return err == errDown },
		Ignored:  func(err error) bool { return err == errGone },
	}
}

func TestStates(t *testing.T) {
	// A script is a list of words: "ok", "down", "refused" and "gone" are calls that end so, "no" is one that must be
	// refused, a duration is waited, and a state must be the present one.
	for name, script := range map[string]string{
		"trips after failures in a row":           "closed down down closed down open no no",
		"a success between starts over":           "down down ok down down closed",
		"an answer is a success":                  "down down refused down down closed",
		"an ignored call changes nothing":         "down down gone down open",
		"stays open for the cooldown":             "down down down 999ms no open",
		"is half-open after it":                   "down down down 1s 1ns half-open",
		"a good trial closes it":                  "down down down 1s 1ns ok closed down down closed",
		"a bad trial opens it, and it counts one": "down down down 1s 1ns down open 1s no 1ns half-open",
		"an ignored trial leaves it half-open":    "down down down 1s 1ns gone half-open ok closed",
		"an answered trial closes it":             "down down down 1s 1ns refused closed",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(t, breaker.New(config()), script) })
		})
	}
}

func play(t *testing.T, b *breaker.Breaker, script string) {
	t.Helper()
	results := map[string]error{"ok": nil, "down": errDown, "refused": errRefused, "gone": errGone}
	for i, word := range strings.Fields(script) {
		if want, ok := results[word]; ok {
			if err := b.Do(func() error { return want }); err != want {
				t.Fatalf("word %d: %s: got %v", i, word, err)
			}
		} else if word == "no" {
			if err := b.Do(func() error { t.Error("called"); return nil }); err != breaker.ErrOpen {
				t.Fatalf("word %d: got %v, want ErrOpen", i, err)
			}
		} else if d, err := time.ParseDuration(word); err == nil {
			time.Sleep(d)
		} else if got := b.State().String(); got != word {
			t.Fatalf("word %d: state is %s, want %s", i, got, word)
		}
	}
}

func TestHalfOpenLetsOneThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(config())
		play(t, b, "down down down 1s 1ns")
		err := b.Do(func() error {
			play(t, b, "no half-open")
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		play(t, b, "closed")
	})
}

func TestNextIsWhenTheTrialIsLetThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.New(config())
		if !b.Next().IsZero() {
			t.Error("a closed breaker has a next time")
		}
		play(t, b, "down down down")
		time.Sleep(time.Until(b.Next()))
		play(t, b, "ok closed")
		if !b.Next().IsZero() {
			t.Error("a recovered breaker has a next time")
		}
	})
}

func TestChangesAreReportedInOrderAndMayAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *breaker.Breaker
		var seen []string
		c := config()
		c.OnChange = func(from, to breaker.State) {
			seen = append(seen, from.String()+">"+to.String()+" is "+b.State().String()) // gobreaker's own callback would hang here
		}
		b = breaker.New(c)
		play(t, b, "down down down 1s 1ns down 1s 1ns ok")
		want := []string{
			"closed>open is open", "open>half-open is half-open", "half-open>open is open",
			"open>half-open is half-open", "half-open>closed is closed",
		}
		if !slices.Equal(seen, want) {
			t.Errorf("got  %q\nwant %q", seen, want)
		}
		b.Close()
		b.Close()
		play(t, b, "down down down open")
		if len(seen) != len(want) {
			t.Error("a change was reported after Close")
		}
	})
}

func TestAPanicCountsAsAFailureAndGoesOn(t *testing.T) {
	b := breaker.New(config())
	for range 3 {
		func() {
			defer func() {
				if r := recover(); r != "boom" {
					t.Errorf("recovered %v, want boom", r)
				}
			}()
			b.Do(func() error { panic("boom") })
		}()
	}
	if b.State() != breaker.Open {
		t.Errorf("state is %s, want open", b.State())
	}
}

// Changes form a path: each begins where the one before ended, and no two are reported at a time.
func TestConcurrentCallsSeeOnePath(t *testing.T) {
	leak.Check(t)
	var busy atomic.Int32
	last := breaker.Closed
	c := breaker.Config{Failures: 2, Cooldown: 100 * time.Microsecond, OnChange: func(from, to breaker.State) {
		if busy.Add(1) != 1 {
			t.Error("two reports at a time")
		}
		if from != last {
			t.Errorf("from %s, but the last change led to %s", from, last)
		}
		last = to
		busy.Add(-1)
	}}
	b := breaker.New(c)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 5000 {
				b.Do(func() error {
					if (i*j)%7 < 3 {
						return errDown
					}
					return nil
				})
			}
		})
	}
	wg.Wait()
	if s := b.State(); s != last {
		t.Errorf("state is %s, last reported %s", s, last)
	}
}

func BenchmarkClosed(b *testing.B) {
	br := breaker.New(config())
	b.ReportAllocs()
	for b.Loop() {
		br.Do(func() error { return nil })
	}
}
