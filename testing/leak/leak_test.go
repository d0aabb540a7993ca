package leak_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandtree/sandtree/testing/leak"
)

// recorder stands in for a test, so that its failure can be looked at.
type recorder struct {
	testing.TB
	cleanups []func()
	errors   string
}

func (r *recorder) Helper()                   {}
func (r *recorder) Failed() bool              { return r.errors != "" }
func (r *recorder) Cleanup(f func())          { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(f string, a ...any) { r.errors += fmt.Sprintf(f, a...) }

func (r *recorder) end() {
	for _, f := range r.cleanups {
		f()
	}
}

func TestCheckFindsALeak(t *testing.T) {
	done := make(chan struct{})
	defer close(done)
	r := &recorder{TB: t}
	leak.Check(r)
	go forgotten(done)
	r.end()
	if !strings.Contains(r.errors, "1 goroutines left") || !strings.Contains(r.errors, "forgotten") {
		t.Errorf("want the forgotten goroutine, got %q", r.errors)
	}
}

func forgotten(done chan struct{}) { <-done }

func TestCheckWaitsForThoseOnTheirWayOut(t *testing.T) {
	before := make(chan struct{})
	go forgotten(before)
	defer close(before)
	r := &recorder{TB: t}
	leak.Check(r)
	done := make(chan struct{})
	go forgotten(done)
	time.AfterFunc(50*time.Millisecond, func() { close(done) })
	r.end()
	if r.errors != "" {
		t.Error(r.errors)
	}
}

func TestCheckInABubble(t *testing.T) {
	outside := make(chan struct{})
	defer close(outside)
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{TB: t}
		leak.Check(r)
		done := make(chan struct{})
		go forgotten(done)
		r.end() // its two seconds are virtual
		if !strings.Contains(r.errors, "forgotten") {
			t.Errorf("want the forgotten goroutine, got %q", r.errors)
		}
		close(done)
	})
}
