package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/sandtree/sandtree/bench"
	"github.com/sandtree/sandtree/bench/result"
	"github.com/sandtree/sandtree/bench/target"
)

// benchLive is the progress of a run: on a terminal a line for the scenario that is played, which is written over, and one that
// stays for each that has ended. Elsewhere, as in the log of a CI, the lines that stay, and one in every half a minute that says how far it is.
type benchLive struct {
	mu       sync.Mutex
	w        io.Writer // nil: nothing is shown
	terminal bool
	fd       int
	paint    paint
	shown    bool      // there is a line to be written over
	last     time.Time // when a line was written that stays
}

const sayAgain = 30 * time.Second

func (a *app) benchLive(about target.About) *benchLive {
	l := &benchLive{paint: a.paint(a.call.Stderr), last: time.Now()}
	if !a.json {
		l.w = a.call.Stderr
		l.fd, l.terminal = terminal(a.call.Stderr)
		fmt.Fprintf(l.w, "measuring %s\n", l.paint.bold(about.Name))
		if about.Name == "local" && about.Kind == "backend" {
			fmt.Fprintln(l.w, l.paint.dim(unisolated))
		}
	}
	return l
}

// Hear shows a step.
func (l *benchLive) Hear(e bench.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.w == nil {
		return
	}
	head := fmt.Sprintf("%2d/%d  %-16s ", e.Index+1, e.Of, e.Scenario)
	if e.Result != nil {
		l.line(head+l.outcome(*e.Result), true)
		return
	}
	if !l.terminal {
		if time.Since(l.last) >= sayAgain {
			l.line(fmt.Sprintf("%s%3.0f %%  %s", head, 100*e.Done, e.Text), true)
		}
		return
	}
	const width = 20
	full := min(width, max(0, int(e.Done*width)))
	l.line(head+strings.Repeat("█", full)+strings.Repeat("░", width-full)+"  "+e.Text, false)
}

// outcome is a scenario that has ended, in a few words.
func (l *benchLive) outcome(s result.Scenario) string {
	switch {
	case s.Unsupported != "":
		return l.paint.dim("not supported: " + s.Unsupported)
	case s.Failed != "":
		return l.paint.red("failed: " + s.Failed)
	case len(s.Series) == 0:
		return "done"
	}
	x := s.Series[0]
	text := x.Name + " " + result.Figure(x.Summary.P50, x.Unit)
	if x.Ratio > 0 {
		text += fmt.Sprintf(", %s the floor", result.Figure(x.Ratio, "ratio"))
	}
	for _, v := range s.Verdicts {
		if !v.Held {
			text += l.paint.red("  not " + v.Rule)
		}
	}
	return text
}

// line writes a line over the one that was shown. stays says that the next one goes below it.
func (l *benchLive) line(text string, stays bool) {
	text = strings.ReplaceAll(text, "\n", " ")
	if width, _, err := term.GetSize(l.fd); err == nil && width > 0 && !strings.Contains(text, "\x1b") && len([]rune(text)) >= width {
		text = string([]rune(text)[:width-1])
	}
	if l.shown {
		fmt.Fprint(l.w, "\r\x1b[K")
	}
	fmt.Fprint(l.w, text)
	l.shown = !stays
	if stays {
		fmt.Fprintln(l.w)
		l.last = time.Now()
	}
}

// end leaves the terminal as one finds it.
func (l *benchLive) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.w != nil && l.shown {
		fmt.Fprint(l.w, "\r\x1b[K")
	}
	l.w = nil
}

func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }
