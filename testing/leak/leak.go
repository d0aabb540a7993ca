// Package leak fails a test that leaves goroutines behind.
//
// It compares the goroutines at the end of a test with those at its beginning, so it is of no use in a test that runs
// in parallel with others of its package. In a synctest bubble only the bubble's own goroutines count, and the
// waiting takes virtual time.
package leak

import (
	"bytes"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// patience is how long goroutines on their way out are waited for: closing a connection wakes its reader, but not
// before the scheduler has time for it.
const patience = 2 * time.Second

// ours are goroutines that no test is to blame for, by a function on their stack or the one that created them.
var ours = []string{
	"testing.tRunner(",      // the tests themselves
	"testing.(*M).",         // the alarm of -timeout
	"testing.runFuzz",       // the workers of fuzzing
	"testing.(*F).Fuzz",     //
	"internal/fuzz.",        //
	"os/signal.loop(",       // started by the first signal.Notify, for ever
	"os/signal.signal_recv", //
	"runtime.ensureSigM",    // the same, below
	"runtime/trace.Start",   //
	"runtime/pprof.profile", //
	// fasthttp: one clock for the Date header, for ever, started by the first server.
	"github.com/valyala/fasthttp.updateServerDate",
	"github.com/valyala/fasthttp.refreshServerDate",
	// fasthttp: looks after idle workers and sees only after ten seconds that its server has stopped.
	"github.com/valyala/fasthttp.(*workerPool).Start",
	// fasthttp: the same for a client's idle connections.
	"github.com/valyala/fasthttp.(*HostClient).connsCleaner",
}

// Check fails t if goroutines that were started after this call are left when t ends. Call it first, so that it looks
// last, after the test's other cleanups. Goroutines on their way out have two seconds.
func Check(t testing.TB) {
	t.Helper()
	before := map[string]bool{}
	for _, g := range goroutines() {
		before[g.id] = true
	}
	t.Cleanup(func() {
		if t.Failed() {
			return // what a broken test leaves says nothing new
		}
		if left := wait(before); len(left) > 0 {
			t.Errorf("%d goroutines left:\n\n%s", len(left), strings.Join(left, "\n\n"))
		}
	})
}

// wait gives the stacks of the goroutines that are not in before, once they are none or patience is over.
func wait(before map[string]bool) []string {
	deadline := time.Now().Add(patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		var left []string
		for _, g := range goroutines() {
			if !before[g.id] && !g.innocent() {
				left = append(left, g.stack)
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
		time.Sleep(pause)
	}
}

type goroutine struct{ id, stack string }

var (
	idOf     = regexp.MustCompile(`^goroutine (\d+) `)
	bubbleOf = regexp.MustCompile(`^goroutine .*(synctest bubble \d+)`)
)

// goroutines lists those that can be seen, but for the caller: all, or in a bubble those of the same bubble.
func goroutines() []goroutine {
	buf := make([]byte, 1<<16)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	stacks := bytes.Split(buf, []byte("\n\n")) // the caller's comes first
	bubble := bubbleName(stacks[0])
	var all []goroutine
	for _, s := range stacks[1:] {
		if m := idOf.FindSubmatch(s); m != nil && (bubble == "" || bubbleName(s) == bubble) {
			all = append(all, goroutine{string(m[1]), string(s)})
		}
	}
	return all
}

func bubbleName(stack []byte) string {
	if m := bubbleOf.FindSubmatch(stack); m != nil {
		return string(m[1])
	}
	return ""
}

func (g goroutine) innocent() bool {
	for _, f := range ours {
		if strings.Contains(g.stack, "\n"+f) || strings.Contains(g.stack, "\ncreated by "+f) {
			return true
		}
	}
	return false
}
