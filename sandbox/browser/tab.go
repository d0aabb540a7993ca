package browser

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
)

// How pages end, in the words of the original's exceptions.
const (
	errCrashed = said("Page crashed")
	errClosed  = said("Page has been closed")
)

// Size of what a page is shown in, in pixels.
const width, height = 1280, 720

// A tab is a page. Events change what it knows; whoever waits for that is woken.
type tab struct {
	*session
	id    target.ID
	ready chan struct{} // closed when it can be used, or never will be: failed tells
	err   error         // of its preparation; set before ready is closed

	news     // an event has changed what follows
	main     cdp.FrameID
	loader   cdp.LoaderID // of the document shown
	url      string
	asked    bool // the page wants to go elsewhere
	vain     bool // it did, and did not
	loading  bool
	parsed   bool // DOMContentLoaded
	loaded   bool // load
	moves    int  // how often the page has gone elsewhere, also within its document
	requests map[network.RequestID]struct{}
	chooser  *page.EventFileChooserOpened
	drag     json.RawMessage
	worlds   map[cdp.FrameID]runtime.ExecutionContextID

	frames []*frame // as of the latest marking; used by one action at a time
	mouse  [2]float64
}

const maxRequests = 500 // under way at a time, of which a tab knows

func newTab(c *conn, id target.SessionID, info *target.Info) *tab {
	t := &tab{id: info.TargetID, ready: make(chan struct{}), news: newNews(), url: info.URL,
		main: cdp.FrameID(info.TargetID), requests: map[network.RequestID]struct{}{},
		worlds: map[cdp.FrameID]runtime.ExecutionContextID{}, mouse: [2]float64{width / 2, height / 2}}
	t.session = c.session(string(id), t.event)
	return t
}

// prepare asks for the events and the size of a page that has just been attached. The page is held up until it has heard
// all of that, so that no event is missed; until then it answers to some of it only, so all is sent before any answer is
// waited for.
func (t *tab) prepare(ctx context.Context) {
	defer close(t.ready)
	few := int64(1) // bytes of bodies that the browser keeps for us, who never ask for them
	commands := []struct {
		method string
		params any
	}{
		{page.CommandEnable, page.EnableParams{}},
		{dom.CommandEnable, dom.EnableParams{}},
		{inspector.CommandEnable, cdp.Empty{}},
		{network.CommandEnable, network.EnableParams{MaxTotalBufferSize: &few, MaxResourceBufferSize: &few}},
		{page.CommandSetLifecycleEventsEnabled, page.SetLifecycleEventsEnabledParams{Enabled: true}},
		{emulation.CommandSetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1}},
		// Else a page without a window has no focus, and does not tell of it.
		{emulation.CommandSetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}},
		{runtime.CommandRunIfWaitingForDebugger, cdp.Empty{}},
	}
	waits := make([]func() error, 0, len(commands))
	for _, c := range commands {
		id, ch, err := t.send(c.method, c.params)
		if err != nil {
			t.err = err
			return
		}
		waits = append(waits, func() error { return t.wait(ctx, id, ch, &struct{}{}) })
	}
	for _, wait := range waits {
		if err := wait(); t.err == nil {
			t.err = err
		}
	}
}

// together runs functions at the same time.
func together(fs ...func() error) error {
	errs := make([]error, len(fs))
	var wg sync.WaitGroup
	for i, f := range fs {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// event takes what the browser tells of the page.
func (t *tab) event(method string, params []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch method {
	case "Page.javascriptDialogOpening":
		var e page.EventJavascriptDialogOpening
		_ = json.Unmarshal(params, &e)
		t.conn.spawn(func() { t.answerDialog(e.Type) })
		return
	case "Inspector.targetCrashed":
		t.conn.spawn(func() { t.end(errCrashed) })
	case "Page.fileChooserOpened":
		t.chooser = new(page.EventFileChooserOpened)
		_ = json.Unmarshal(params, t.chooser)
	case "Input.dragIntercepted":
		var e struct{ Data json.RawMessage }
		_ = json.Unmarshal(params, &e)
		t.drag = e.Data
	default:
		if !t.requestLocked(method, params) && !t.frameLocked(method, params) {
			return
		}
	}
	t.tellLocked()
}

// requestLocked counts what the page's scripts have asked the network for.
func (t *tab) requestLocked(method string, params []byte) bool {
	switch method {
	case "Network.requestWillBeSent":
		var e struct {
			RequestID network.RequestID
			Type      network.ResourceType
		}
		_ = json.Unmarshal(params, &e)
		if (e.Type != "XHR" && e.Type != "Fetch") || len(t.requests) >= maxRequests {
			return false
		}
		t.requests[e.RequestID] = struct{}{}
	case "Network.loadingFinished", "Network.loadingFailed":
		var e struct{ RequestID network.RequestID }
		_ = json.Unmarshal(params, &e)
		delete(t.requests, e.RequestID)
	default:
		return false
	}
	return true
}

// frameLocked follows the page's main frame on its way from document to document.
func (t *tab) frameLocked(method string, params []byte) bool {
	var e struct {
		FrameID     cdp.FrameID
		LoaderID    cdp.LoaderID
		Name        string
		URL         string
		Disposition string
		Frame       *cdp.Frame
	}
	if json.Unmarshal(params, &e) != nil || e.FrameID != t.main && (e.Frame == nil || e.Frame.ID != t.main) {
		return false
	}
	switch method {
	case "Page.frameRequestedNavigation":
		t.asked = t.asked || e.Disposition == "currentTab"
	case "Page.frameStartedLoading":
		t.loading = true
	case "Page.frameStoppedLoading":
		t.loading, t.asked, t.vain = false, false, t.vain || t.asked
	case "Page.navigatedWithinDocument":
		t.url, t.asked = e.URL, false
		t.moves++
	case "Page.frameNavigated":
		t.navigatedLocked(e.Frame)
	case "Page.lifecycleEvent":
		t.lifeLocked(e.Name, e.LoaderID)
	default:
		return false
	}
	return true
}

func (t *tab) navigatedLocked(f *cdp.Frame) {
	t.url = f.URL + f.URLFragment
	if f.UnreachableURL != "" { // what is shown is the browser's own page about that
		t.url = f.UnreachableURL
	}
	t.asked, t.parsed, t.loaded = false, false, false
	t.loader = f.LoaderID
	clear(t.requests)
	t.moves++
}

func (t *tab) lifeLocked(name string, loader cdp.LoaderID) {
	switch {
	case name == "init" && loader != t.loader:
		t.loader, t.parsed, t.loaded = loader, false, false
	case loader != t.loader && t.loader != "":
	case name == "DOMContentLoaded":
		t.loader, t.parsed = loader, true
	case name == "load":
		t.loader, t.parsed, t.loaded = loader, true, true
	}
}

// answerDialog closes what alert and its like have opened, as a person would who does not want to: but the page may be
// left.
func (t *tab) answerDialog(kind page.DialogType) {
	ctx, cancel := context.WithTimeout(context.Background(), writeTime)
	defer cancel()
	_, _ = call(ctx, t.session, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: kind == "beforeunload"})
}

// await waits until is, which is called under the lock, says so. Errors: that of ctx, errCrashed, errClosed, errLost.
func (t *tab) await(ctx context.Context, is func() bool) error {
	return t.news.await(ctx, t.session, is)
}

// where gives the address of the page.
func (t *tab) where() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.url
}
