package browser

import (
	"context"
	"errors"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
)

const (
	navigateTime = 100 * time.Second      // for an answer of the server that a page is asked of
	loadTime     = 10 * time.Second       // more for what a page consists of, once its text is there
	settleTime   = 3 * time.Second        // for the page, the file or the choice of files that a click or a key has asked for
	quietTime    = 500 * time.Millisecond // for what the page's scripts have asked for
)

// errEnough ends a wait that has been long enough; the page is then seen as it is.
var errEnough = errors.New("enough")

// enough makes the end of a wait no error.
func enough(err error) error {
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// settled waits for what an action has caused: the page it leads to, else what the page's scripts ask for.
func (t *tab) settled(ctx context.Context) error {
	bound, cancel := context.WithTimeoutCause(ctx, settleTime, errEnough)
	defer cancel()
	// What the action has put off until the next frame happens now. While the page is about to be left this may fail.
	_ = t.eval(bound, t.main, "() => sandtree.frame()", nil)
	if err := t.arrived(bound); err != nil {
		return enough(err)
	}
	quiet, cancel := context.WithTimeoutCause(bound, quietTime, errEnough)
	defer cancel()
	busy := false
	err := t.await(quiet, func() bool {
		busy = busy || len(t.requests) > 0
		return len(t.requests) == 0
	})
	if err != nil || !busy {
		return enough(err)
	}
	if err := t.eval(bound, t.main, "() => sandtree.frame()", nil); err != nil && t.err == nil { // what they do with the answer
		return enough(t.arrived(bound))
	}
	return nil
}

// arrived waits until the page is the one it leads to, and is loaded.
func (t *tab) arrived(ctx context.Context) error {
	return t.await(ctx, func() bool { return !t.asked && (!t.loading || t.loaded) })
}

// load goes to a URL and waits until the page is loaded.
func (t *tab) load(ctx context.Context, url string) error {
	bound, cancel := context.WithTimeoutCause(ctx, navigateTime, failed("TimeoutError", "Page.goto: Timeout %dms exceeded.", navigateTime.Milliseconds()))
	defer cancel()
	went, err := call(bound, t.session, page.Navigate, page.NavigateParams{URL: url})
	switch {
	case isProtocol(err):
		return failed("Error", "Page.goto: Protocol error (Page.navigate): %s", err)
	case err != nil:
		return err
	case went.ErrorText != "":
		return failed("Error", "Page.goto: %s at %s", went.ErrorText, url)
	case went.LoaderID == "": // within the document
		return nil
	}
	return t.opened(bound, func() bool { return t.loader == went.LoaderID })
}

// opened waits until the document that is means is there, and then as long as is sane for all that belongs to it.
func (t *tab) opened(ctx context.Context, is func() bool) error {
	if err := t.await(ctx, func() bool { return is() && t.parsed }); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, loadTime, errEnough)
	defer cancel()
	return enough(t.await(ctx, func() bool { return t.loaded }))
}

// walk goes back or forward in the page's history; at its end it does nothing.
func (t *tab) walk(ctx context.Context, by int64) error {
	history, err := call(ctx, t.session, page.GetNavigationHistory, cdp.Empty{})
	if err != nil {
		return err
	}
	to := history.CurrentIndex + by
	if to < 0 || to >= int64(len(history.Entries)) {
		return nil
	}
	t.mu.Lock()
	before := t.moves
	t.mu.Unlock()
	if _, err := call(ctx, t.session, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: history.Entries[to].ID}); err != nil {
		return err
	}
	bound, cancel := context.WithTimeoutCause(ctx, navigateTime, failed("TimeoutError", "Page.go_back: Timeout %dms exceeded.", navigateTime.Milliseconds()))
	defer cancel()
	if err := t.await(bound, func() bool { return t.moves != before }); err != nil {
		return err
	}
	return t.opened(bound, func() bool { return true })
}

// isProtocol says whether err is the browser's answer, and not the want of one.
func isProtocol(err error) bool {
	_, ok := errors.AsType[*protocolError](err)
	return ok
}
