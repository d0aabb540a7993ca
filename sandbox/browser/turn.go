package browser

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"

	"github.com/sandtree/sandtree/sandbox"
)

// errTooLong ends an action that takes longer than Config.Timeout, in the original's words.
const errTooLong = said("Browser environment took too long to respond.")

// hangTime is how long a page may take to answer that it has stopped, on a machine that does much else.
const hangTime = 3 * time.Second

// A turn is the performing of one action.
type turn struct {
	config Config
	engine *engine
	album  *album
	tab    *tab // that is looked at
	crash  bool // a page has crashed

	trigger sandbox.Kind
	program string // as the agent sees it
	url     string // asked for
	objects bool   // the tree is wanted as an object too
}

// Browse opens a page. Pages that cannot be opened are observations; codes of errors: Unsupported (no Chromium is
// installed), Unavailable (it does not start), Canceled (the turn did not come before ctx ended).
func (b *Browser) Browse(ctx context.Context, args sandbox.BrowseArgs) (sandbox.Observation, error) {
	t := &turn{trigger: args.Kind(), program: `goto("` + args.URL + `")`, url: args.URL, objects: args.ReturnAXTree}
	return b.perform(ctx, t, []step{{name: "goto", args: []any{args.URL}}}, nil)
}

// Interact performs a program in BrowserGym's vocabulary. What fails in it is part of the observation, and ends it. Codes
// of errors as for Browse.
func (b *Browser) Interact(ctx context.Context, args sandbox.BrowseInteractiveArgs) (sandbox.Observation, error) {
	t := &turn{trigger: args.Kind(), program: args.BrowserActions, objects: args.ReturnAXTree}
	if word := strings.TrimSpace(args.BrowserActions); word == "GET_EVAL_GOAL" || word == "GET_EVAL_REWARDS" {
		return t.excuse("", failed("Error", "%s: this browser has no evaluation environment", word)), nil
	}
	steps, err := parse(args.BrowserActions)
	return b.perform(ctx, t, steps, err)
}

// perform does the steps, unless wrong says that there are none to be done, and looks at the page.
func (b *Browser) perform(ctx context.Context, t *turn, steps []step, wrong error) (sandbox.Observation, error) {
	leave, err := b.take(ctx)
	if err != nil {
		return sandbox.Observation{}, err
	}
	defer leave()
	ctx, cancel := context.WithTimeoutCause(ctx, b.config.Timeout, errTooLong)
	defer cancel()
	t.config, t.album = b.config, &b.album
	if t.engine, err = b.running(ctx); err != nil {
		if _, ok := errors.AsType[*sandbox.Error](err); ok {
			return sandbox.Observation{}, err
		}
		return t.excuse(t.url, err), nil
	}
	o, err := t.act(ctx, steps, wrong)
	if err == nil {
		return o, nil
	}
	return t.excuse(t.url, t.engine.process.explain(b.recover(t, err))), nil
}

// recover makes sure that the next action finds a browser that answers, and gives the error in words for an agent.
func (b *Browser) recover(t *turn, err error) error {
	if errors.Is(err, errLost) {
		select {
		case <-t.engine.process.Done():
		case <-time.After(time.Second): // it has closed its pipes and does not end
		}
		why := t.engine.process.end()
		err = failed("Error", "the browser has ended (%s); it starts again, without its pages, with the next action", t.engine.process.cause())
		if why == nil {
			why = b.discard(t.engine)
		}
		return errors.Join(err, why)
	}
	// A page that loads is stopped. One that does not answer even to that hangs, and so may the browser.
	ctx, cancel := context.WithTimeout(context.Background(), hangTime)
	defer cancel()
	if t.tab != nil && t.tab.gentlyStop(ctx) == nil {
		return err
	}
	if e := b.discard(t.engine); e != nil {
		err = errors.Join(err, e)
	}
	return errors.Join(err, said("The page did not answer any more: the browser was ended, and starts again, without its pages, with the next action."))
}

func (t *tab) gentlyStop(ctx context.Context) error {
	if _, err := call(ctx, t.session, page.StopLoading, cdp.Empty{}); err != nil {
		return err
	}
	return t.eval(ctx, t.main, "() => 1", nil)
}

// act does the steps and looks at what came of them. An error is about the browser, not the page.
func (t *turn) act(ctx context.Context, steps []step, wrong error) (sandbox.Observation, error) {
	var err error
	if t.tab, err = t.engine.active(ctx); err != nil {
		return sandbox.Observation{}, err
	}
	before := t.engine.latest()
	if wrong == nil {
		wrong, err = t.steps(ctx, steps)
	}
	if err != nil {
		return sandbox.Observation{}, err
	}
	if d := t.sent(ctx, before, wrong); d != nil {
		return t.downloaded(ctx, d)
	}
	if err := t.follow(ctx); err != nil {
		return sandbox.Observation{}, err
	}
	if t.crash {
		wrong = errCrashed
	}
	if errors.Is(wrong, errCrashed) {
		wrong = t.engine.process.explain(wrong)
	}
	return t.look(ctx, wrong)
}

// sent gives the file that the steps have made a page send; nil if there is none. The browser tells that a page has not
// gone where it was to go before it tells that it was a file.
func (t *turn) sent(ctx context.Context, before *download, wrong error) *download {
	t.tab.mu.Lock()
	vain := t.tab.vain || wrong != nil && strings.Contains(wrong.Error(), "net::ERR_ABORTED")
	t.tab.vain = false
	t.tab.mu.Unlock()
	if vain {
		ctx, cancel := context.WithTimeout(ctx, settleTime)
		defer cancel()
		_ = t.engine.await(ctx, func() bool { return t.engine.latestLocked() != before })
	}
	if d := t.engine.latest(); d != before {
		return d
	}
	return nil
}

// steps does them one after the other. wrong is how one failed, which ends them; err is about the browser.
func (t *turn) steps(ctx context.Context, steps []step) (wrong, err error) {
	for _, s := range steps {
		op, _ := lookUp(s.name) // parse has looked
		var bound arguments
		if bound, wrong = bind(s, op.params); wrong == nil {
			wrong = op.do(ctx, t, bound)
		}
		if fatal(wrong) {
			return nil, wrong
		}
		if err := t.follow(ctx); err != nil {
			return nil, err
		}
		if wrong != nil {
			return wrong, nil
		}
		if err := t.tab.settled(ctx); fatal(err) {
			return nil, err
		}
	}
	return nil, t.follow(ctx)
}

// fatal says whether err is about the browser or the caller, and not about a page.
func fatal(err error) bool {
	if err == nil || isProtocol(err) || errors.Is(err, errCrashed) || errors.Is(err, errClosed) {
		return false
	}
	_, ok := errors.AsType[*failure](err)
	return !ok
}

// follow makes the page that is to be looked at that of the turn: one that a step has opened, or what is left when a page
// has crashed or been closed.
func (t *turn) follow(ctx context.Context) error {
	for {
		select {
		case <-t.tab.gone:
			if errors.Is(t.tab.why, errCrashed) {
				t.crash = true
				if err := t.engine.drop(ctx, t.tab); err != nil {
					return err
				}
			}
		default:
		}
		now, err := t.engine.active(ctx)
		switch {
		case err != nil && fatal(err):
			return err
		case now == t.tab:
			return nil
		}
		t.tab = now
	}
}

// look takes the observation of the page, a few times if it changes while it is looked at.
func (t *turn) look(ctx context.Context, wrong error) (sandbox.Observation, error) {
	const tries = 5
	for try := 1; ; try++ {
		s, err := t.see(ctx)
		switch {
		case err == nil:
			return t.observation(s, wrong)
		case fatal(err) || try == tries:
			return sandbox.Observation{}, err
		}
		if wrong == nil && errors.Is(err, errCrashed) {
			wrong = t.engine.process.explain(err)
		}
		if err := t.follow(ctx); err != nil {
			return sandbox.Observation{}, err
		}
		if err := t.tab.settled(ctx); fatal(err) {
			return sandbox.Observation{}, err
		}
	}
}

// words gives a step's error as the original's exceptions read.
func words(err error) string {
	if err == nil {
		return ""
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f.Error()
	}
	return "Error: " + err.Error()
}

// places gives the addresses of all pages and which of them is looked at.
func (t *turn) places() (urls []string, active int) {
	tabs := t.engine.list()
	urls = make([]string, len(tabs))
	for i, tab := range tabs {
		urls[i] = tab.where()
	}
	return urls, slices.Index(tabs, t.tab)
}
