package browser

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
)

// maxTabs is how many pages may be open: one that a page opens beyond that is closed at once. A page takes 50 MB and more.
const maxTabs = 20

// An engine is a browser that runs, with its pages. It lasts until the process ends or hangs; the next one begins anew.
type engine struct {
	process   *process
	conn      *conn
	root      *session
	sandboxed bool
	version   string

	news             // a page has come or gone, or a download has made progress
	tabs      []*tab // in the order they were opened
	recent    []*tab // in the order they were looked at; the last one is
	downloads []*download
}

func newEngine(p *process, r, w *os.File, sandboxed bool) *engine {
	e := &engine{process: p, sandboxed: sandboxed, news: newNews()}
	e.conn, e.root = newConn(r, w, e.event)
	return e
}

// begin asks for the browser's events and waits for its first page.
func (e *engine) begin(ctx context.Context, c Config) error {
	return errors.Join(together(
		func() error {
			_, err := call(ctx, e.root, target.SetAutoAttach, target.SetAutoAttachParams{AutoAttach: true, Flatten: new(true), WaitForDebuggerOnStart: true,
				Filter: target.Filter{{Type: "page"}, {Exclude: true}}})
			return err
		},
		func() error {
			v, err := call(ctx, e.root, cdpbrowser.GetVersion, cdp.Empty{})
			e.version = v.Product
			return err
		},
		func() error {
			_, err := call(ctx, e.root, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{
				Behavior: cdpbrowser.SetDownloadBehaviorBehaviorAllow, DownloadPath: c.downloads(), EventsEnabled: new(true)})
			return err
		},
		func() error { return e.await(ctx, func() bool { return len(e.tabs) > 0 }) },
	))
}

func (e *engine) event(method string, params []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch method {
	case "Target.attachedToTarget":
		var a target.EventAttachedToTarget
		if json.Unmarshal(params, &a) != nil || a.TargetInfo == nil {
			return
		}
		e.attachLocked(a.SessionID, a.TargetInfo)
	case "Target.detachedFromTarget":
		var d target.EventDetachedFromTarget
		_ = json.Unmarshal(params, &d)
		e.detachLocked(d.SessionID)
	case "Browser.downloadWillBegin", "Browser.downloadProgress":
		e.downloadLocked(method, params)
	default:
		return
	}
	e.tellLocked()
}

func (e *engine) attachLocked(id target.SessionID, info *target.Info) {
	if len(e.tabs) >= maxTabs {
		e.conn.spawn(func() { e.closeTarget(info.TargetID) })
		return
	}
	t := newTab(e.conn, id, info)
	e.tabs = append(e.tabs, t)
	e.recent = append(e.recent, t)
	e.conn.spawn(func() {
		ctx, cancel := context.WithTimeout(context.Background(), writeTime)
		defer cancel()
		t.prepare(ctx)
	})
}

func (e *engine) detachLocked(id target.SessionID) {
	is := func(t *tab) bool { return t.session.id == string(id) }
	if i := slices.IndexFunc(e.tabs, is); i >= 0 {
		e.tabs[i].end(errClosed)
	}
	e.tabs = slices.DeleteFunc(e.tabs, is)
	e.recent = slices.DeleteFunc(e.recent, is)
}

func (e *engine) closeTarget(id target.ID) {
	ctx, cancel := context.WithTimeout(context.Background(), writeTime)
	defer cancel()
	_, _ = call(ctx, e.root, target.CloseTarget, target.CloseTargetParams{TargetID: id})
}

// await waits until is, which is called under the lock, says so. Errors: that of ctx, errLost.
func (e *engine) await(ctx context.Context, is func() bool) error {
	return e.news.await(ctx, e.root, is)
}

// open opens a blank page, which becomes the active one.
func (e *engine) open(ctx context.Context) (*tab, error) {
	e.mu.Lock()
	n := len(e.tabs)
	e.mu.Unlock()
	if n >= maxTabs {
		return nil, failed("Error", "there are %d tabs already: close some with tab_close()", n)
	}
	made, err := call(ctx, e.root, target.CreateTarget, target.CreateTargetParams{URL: "about:blank"})
	if err != nil {
		return nil, err
	}
	var t *tab
	err = e.await(ctx, func() bool {
		i := slices.IndexFunc(e.tabs, func(t *tab) bool { return t.id == made.TargetID })
		if i >= 0 {
			t = e.tabs[i]
		}
		return i >= 0
	})
	return t, err
}

// active gives the page that is looked at, after putting a blank one in place of one that has crashed or if there is none.
func (e *engine) active(ctx context.Context) (*tab, error) {
	e.mu.Lock()
	var t *tab
	if n := len(e.recent); n > 0 {
		t = e.recent[n-1]
	}
	e.mu.Unlock()
	if t == nil {
		var err error
		if t, err = e.open(ctx); err != nil {
			return nil, err
		}
	}
	select {
	case <-t.ready:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return t, t.err
}

// drop closes a page, and waits until it is gone.
func (e *engine) drop(ctx context.Context, t *tab) error {
	if _, err := call(ctx, e.root, target.CloseTarget, target.CloseTargetParams{TargetID: t.id}); err != nil {
		return err
	}
	return e.await(ctx, func() bool { return !slices.Contains(e.tabs, t) })
}

// look makes a page the active one.
func (e *engine) look(ctx context.Context, t *tab) error {
	e.mu.Lock()
	e.recent = append(slices.DeleteFunc(e.recent, func(o *tab) bool { return o == t }), t)
	e.mu.Unlock()
	_, err := call(ctx, t.session, page.BringToFront, cdp.Empty{})
	return err
}

// list gives the pages in the order they were opened.
func (e *engine) list() []*tab {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.tabs)
}

// alive says whether the browser still runs.
func (e *engine) alive() bool {
	select {
	case <-e.conn.done:
		return false
	default:
		return true
	}
}

// close ends the browser and removes what it kept. The process is killed, not asked: it has nothing to save.
func (e *engine) close() error {
	ended := e.process.end()
	return errors.Join(ended, e.conn.close())
}
