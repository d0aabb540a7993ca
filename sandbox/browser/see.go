package browser

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/domsnapshot"
	"github.com/chromedp/cdproto/page"

	"github.com/sandtree/sandtree/sandbox"
)

// A sight is what is taken of a page.
type sight struct {
	png     []byte
	focused string
	text    string             // for BrowseArgs
	tree    *tree              // for BrowseInteractiveArgs, or if it is wanted as an object
	rows    map[string]element // by bid, as far as they were asked for
}

// see names the page's elements and takes all else at the same time.
func (t *turn) see(ctx context.Context) (*sight, error) {
	s := &sight{}
	trees := t.trigger == sandbox.KindBrowseInteractive || t.objects
	if err := t.tab.mark(ctx, t.objects); err != nil {
		return nil, err
	}
	var nodes [][]axNode
	var dom snapshot
	takes := []func() error{
		func() (err error) { s.focused, err = t.tab.focused(ctx); return err },
		func() error {
			shot, err := call(ctx, t.tab.session, page.CaptureScreenshot, page.CaptureScreenshotParams{OptimizeForSpeed: new(true)})
			s.png = shot.Data
			return err
		},
	}
	if t.trigger == sandbox.KindBrowse {
		takes = append(takes, func() error { return t.tab.eval(ctx, t.tab.main, "most => sandtree.text(most)", &s.text, maxText) })
	}
	if trees {
		takes = append(takes, func() error {
			return t.tab.call(ctx, domsnapshot.CommandCaptureSnapshot, domsnapshot.CaptureSnapshotParams{ComputedStyles: []string{}}, &dom)
		})
		takes = append(takes, func() (err error) { nodes, err = t.tab.allAccessible(ctx, t.objects); return err })
	}
	if err := together(takes...); err != nil {
		return nil, worst(err)
	}
	s.rows = t.tab.elements()
	if trees {
		s.tree = newTree(t.tab, nodes, &dom, s.rows)
	}
	return s, nil
}

// worst is the first of joined errors that is about the browser, if there is one, else the first.
func worst(err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	first := worst(joined.Unwrap()[0])
	for _, e := range joined.Unwrap() {
		if e = worst(e); fatal(e) {
			return e
		}
	}
	return first
}

const (
	maxNodes  = 200_000 // of the accessibility trees of a page, beyond which no further frame is asked for its own
	maxAsking = 4       // frames that are asked at a time: an answer may have maxMessage bytes
)

// allAccessible gives the nodes of all frames' accessibility trees.
func (t *tab) allAccessible(ctx context.Context, whole bool) ([][]axNode, error) {
	all := make([][]axNode, len(t.frames))
	for left, i := maxNodes, 0; i < len(t.frames) && left > 0; i += maxAsking {
		to := min(i+maxAsking, len(t.frames))
		asks := make([]func() error, 0, maxAsking)
		for j, f := range t.frames[i:to] {
			asks = append(asks, func() (err error) { all[i+j], err = t.accessible(ctx, f.id, whole); return err })
		}
		if err := together(asks...); err != nil {
			return nil, err
		}
		for _, nodes := range all[i:to] {
			left -= len(nodes)
		}
	}
	return all, nil
}

// accessible gives the nodes of a frame's accessibility tree; whole keeps each as it came too, which a big page has
// megabytes of.
func (t *tab) accessible(ctx context.Context, id cdp.FrameID, whole bool) (nodes []axNode, err error) {
	params := accessibility.GetFullAXTreeParams{FrameID: id}
	if whole {
		var got struct{ Nodes []json.RawMessage }
		err = t.call(ctx, accessibility.CommandGetFullAXTree, params, &got)
		nodes = make([]axNode, len(got.Nodes))
		for i, raw := range got.Nodes {
			err = errors.Join(err, json.Unmarshal(raw, &nodes[i]))
			nodes[i].raw = raw
		}
	} else {
		var got struct{ Nodes []axNode }
		err = t.call(ctx, accessibility.CommandGetFullAXTree, params, &got)
		nodes = got.Nodes
	}
	if id != t.main {
		err = unlessGone(err)
	}
	return nodes, err
}

// An element is what agents are told of one besides the tree.
type element struct {
	Visibility float64     `json:"visibility"`
	Box        *[4]float64 `json:"bbox"` // x, y, width, height in the page's view, pixels; nil if it is not shown
	Clickable  bool        `json:"clickable"`
	Marked     bool        `json:"set_of_marks"`
}

// elements gives the rows of all frames, placed in the page's view.
func (t *tab) elements() map[string]element {
	all := map[string]element{}
	for _, f := range t.frames {
		for _, r := range f.rows {
			e := element{Visibility: r.visible, Marked: r.marked}
			if r.rendered {
				e.Box = &[4]float64{r.x + f.x, r.y + f.y, r.w, r.h}
			}
			all[r.bid] = e
		}
	}
	return all
}

// extras are the members of the observation, in the original's order.
type extras struct {
	URL        string          `json:"url"`
	Trigger    sandbox.Kind    `json:"trigger_by_action"`
	Screenshot string          `json:"screenshot"`
	Path       *string         `json:"screenshot_path"`
	Marks      string          `json:"set_of_marks"`
	Error      bool            `json:"error"`
	Goal       []string        `json:"goal_image_urls"`
	Pages      []string        `json:"open_pages_urls"`
	Active     int             `json:"active_page_index"`
	DOM        json.RawMessage `json:"dom_object"`
	Tree       json.RawMessage `json:"axtree_object"`
	Elements   json.RawMessage `json:"extra_element_properties"`
	Action     string          `json:"last_browser_action"`
	ActionErr  string          `json:"last_browser_action_error"`
	Focused    string          `json:"focused_element_bid"`
	Filter     bool            `json:"filter_visible_only"`
}

var none = json.RawMessage("{}")

// observation writes what was seen.
func (t *turn) observation(s *sight, wrong error) (sandbox.Observation, error) {
	x := extras{URL: t.tab.where(), Trigger: t.trigger, Screenshot: dataURI(s.png), Error: wrong != nil, Goal: []string{},
		DOM: none, Tree: none, Elements: none, Action: t.program, ActionErr: words(wrong), Focused: s.focused}
	x.Pages, x.Active = t.places()
	if marked, err := setOfMarks(s.png, s.rows); err != nil {
		t.config.Log.Error("drawing marks", "err", err)
	} else {
		x.Marks = dataURI(marked)
	}
	if path, err := t.album.save(s.png); err != nil {
		t.config.Log.Warn("saving a screenshot", "err", err)
	} else {
		x.Path = &path
	}
	if t.objects {
		x.Tree, x.Elements = s.tree.object(), s.tree.properties()
	}
	o := sandbox.Observation{}
	if t.trigger == sandbox.KindBrowse {
		o.Content = contentOfPage(x, s.text)
	} else {
		o.Content = contentOfTree(x, s.tree.String())
	}
	b, err := json.Marshal(x)
	o.Result = sandbox.BrowseResult{Extras: b}
	return o, err
}

// excuse is the observation of an action after which no page could be looked at.
func (t *turn) excuse(url string, err error) sandbox.Observation {
	text := err.Error()
	if errors.Is(err, context.Canceled) {
		text = "The action was interrupted."
	}
	b, bad := json.Marshal(extras{URL: url, Trigger: t.trigger, Error: true, Goal: []string{}, Pages: []string{}, Active: -1,
		DOM: none, Tree: none, Elements: none, ActionErr: text})
	if bad != nil {
		text += "\n" + bad.Error()
	}
	return sandbox.Observation{Content: text, Result: sandbox.BrowseResult{Extras: b}}
}

// downloaded is the observation of an action that made a page send a file.
func (t *turn) downloaded(ctx context.Context, d *download) (sandbox.Observation, error) {
	name, err := t.engine.fetched(ctx, t.config, d)
	path := ""
	if err == nil {
		path, err = t.config.place(ctx, name)
	}
	if fatal(err) && (ctx.Err() != nil || errors.Is(err, errLost)) {
		return sandbox.Observation{}, err
	}
	if err != nil {
		return t.look(ctx, err)
	}
	b, err := json.Marshal(map[string]string{"file_path": path})
	return sandbox.Observation{
		Content: "Execution of the previous action " + t.program + " resulted in a file download. The downloaded file is saved at location: " + path,
		Result:  sandbox.OtherResult{Type: "download", Extras: b}}, err
}
