package browser

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
)

// elementTime is how long an element is waited for to be fit for what is to be done to it: the original's.
const elementTime = 500 * time.Millisecond

// answer is what the page's script says of what it was asked to do to an element.
type answer struct {
	Missing bool
	Why     string
	X, Y    float64
}

// on asks a frame's script to do something to an element. called is the original's name for that, for the error.
func (t *tab) on(ctx context.Context, bid, called, function string, args ...any) (answer, error) {
	var a answer
	f := t.frameOf(bid)
	if f == nil {
		return a, missing(bid)
	}
	// A page that is busy answers late: what the page itself takes is no fault of the element.
	err := t.eval(ctx, f.id, function, &a, append([]any{bid}, args...)...)
	switch {
	case err != nil:
		return a, err
	case a.Missing:
		return a, missing(bid)
	}
	a.X, a.Y = a.X+f.x, a.Y+f.y
	return a, nil
}

func missing(bid string) error {
	return failed("ValueError", "Could not find element with bid %q", bid)
}

// want is what must be true of an element.
type want struct {
	Enabled  bool `json:"enabled"`
	Editable bool `json:"editable"`
	Hit      bool `json:"hit"` // it is what a click at its middle goes to
}

// fit waits until an element is as wanted, in view, and moves no more.
func (t *tab) fit(ctx context.Context, bid, called string, w want) (answer, error) {
	a, err := t.on(ctx, bid, called, "(...a) => sandtree.ready(...a)", w, elementTime.Milliseconds())
	if err == nil && a.Why != "" {
		err = failed("TimeoutError", "Locator.%s: Timeout %dms exceeded.\n  - %s", called, elementTime.Milliseconds(), a.Why)
	}
	if err != nil {
		return a, err
	}
	// Scrolling it into view may have moved the frame that it is in.
	if f := t.frameOf(bid); f != nil && f.parent != nil {
		x, y, err := t.offset(ctx, f)
		if err != nil {
			return a, err
		}
		a.X, a.Y = a.X-f.x+x, a.Y-f.y+y
	}
	return a, nil
}

// offset is where a frame begins in the page's view now.
func (t *tab) offset(ctx context.Context, f *frame) (x, y float64, err error) {
	for ; f.parent != nil; f = f.parent {
		var at [2]float64
		if err := t.eval(ctx, f.parent.id, "bid => sandtree.offset(bid)", &at, f.bid); err != nil {
			return 0, 0, err
		}
		x, y = x+at[0], y+at[1]
	}
	return x, y, nil
}

func fill(ctx context.Context, t *turn, a arguments) error {
	return fillWith(ctx, t, a.text(0), a.text(1), "fill")
}

func clearText(ctx context.Context, t *turn, a arguments) error {
	return fillWith(ctx, t, a.text(0), "", "clear")
}

func fillWith(ctx context.Context, t *turn, bid, value, called string) error {
	if _, err := t.tab.fit(ctx, bid, called, want{Enabled: true, Editable: true}); err != nil {
		return err
	}
	return because(called)(t.tab.on(ctx, bid, called, "(...a) => sandtree.fill(...a)", value))
}

// because makes the script's objection an error.
func because(called string) func(answer, error) error {
	return func(a answer, err error) error {
		if err == nil && a.Why != "" {
			err = failed("Error", "Locator.%s: Error: %s", called, a.Why)
		}
		return err
	}
}

func selectOption(ctx context.Context, t *turn, a arguments) error {
	const called = "select_option"
	if _, err := t.tab.fit(ctx, a.text(0), called, want{Enabled: true}); err != nil {
		return err
	}
	return because(called)(t.tab.on(ctx, a.text(0), called, "(...a) => sandtree.select(...a)", a.texts(1)))
}

func focus(ctx context.Context, t *turn, a arguments) error {
	return because("focus")(t.tab.on(ctx, a.text(0), "focus", "(...a) => sandtree.focus(...a)"))
}

func press(ctx context.Context, t *turn, a arguments) error {
	s, err := strokeOf(a.text(1))
	if err != nil {
		return err
	}
	if err := focus(ctx, t, a); err != nil {
		return err
	}
	for _, e := range s.events() {
		if _, err := call(ctx, t.tab.session, input.DispatchKeyEvent, e); err != nil {
			return err
		}
	}
	return nil
}

// uploadFile clicks what opens the choice of files, and chooses.
func uploadFile(ctx context.Context, t *turn, a arguments) error {
	files := a.texts(1)
	for i, f := range files {
		if !filepath.IsAbs(f) {
			files[i] = filepath.Join(t.config.Dir, f)
		}
		if _, err := os.Stat(files[i]); errors.Is(err, fs.ErrNotExist) {
			return failed("FileNotFoundError", "[Errno 2] No such file or directory: '%s'", f)
		}
	}
	tab := t.tab
	tab.mu.Lock()
	tab.chooser = nil
	tab.mu.Unlock()
	if _, err := call(ctx, tab.session, page.SetInterceptFileChooserDialog, page.SetInterceptFileChooserDialogParams{Enabled: true}); err != nil {
		return err
	}
	defer func() {
		_, _ = call(ctx, tab.session, page.SetInterceptFileChooserDialog, page.SetInterceptFileChooserDialogParams{})
	}()
	if err := click(ctx, t, arguments{a[0], "left", []string{}}, 1); err != nil {
		return err
	}
	bound, cancel := context.WithTimeoutCause(ctx, settleTime, failed("TimeoutError",
		"Timeout %dms exceeded while waiting for event \"filechooser\": a click on the element opens no choice of files", settleTime.Milliseconds()))
	defer cancel()
	var chooser *page.EventFileChooserOpened
	if err := tab.await(bound, func() bool { chooser = tab.chooser; return chooser != nil }); err != nil {
		return err
	}
	if len(files) > 1 && chooser.Mode != page.FileChooserOpenedModeSelectMultiple {
		return failed("Error", "FileChooser.set_files: Error: Non-multiple file input can only accept single file")
	}
	_, err := call(ctx, tab.session, dom.SetFileInputFiles, dom.SetFileInputFilesParams{Files: files, BackendNodeID: chooser.BackendNodeID})
	return err
}
