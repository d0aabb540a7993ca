package browser

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
)

//go:embed page.js
var pageScript string

const (
	worldName   = "sandtree"
	maxFrames   = 100    // of a page that are looked at
	maxElements = 50_000 // of a frame that are named, and of a page after which no further frame is looked at
)

// A frame is a document of a page: the page's own, or one inside.
type frame struct {
	id     cdp.FrameID
	bid    string // "" is the page's own; that of the element which shows it
	parent *frame
	x, y   float64 // where it begins in the page's view, pixels
	rows   []row
}

// A row is what a frame's script tells of an element.
type row struct {
	bid              string
	visible          float64 // share of it that is in view
	marked, rendered bool
	x, y, w, h       float64 // in the frame's view, pixels
}

// UnmarshalJSON reads the array that the script gives.
func (r *row) UnmarshalJSON(b []byte) error {
	var marked, rendered int
	fields := []any{&r.bid, &r.visible, &marked, &rendered, &r.x, &r.y, &r.w, &r.h}
	err := json.Unmarshal(b, &fields)
	r.marked, r.rendered = marked == 1, rendered == 1
	return err
}

// eval calls a function in our world of a frame and decodes what it gives, or what its promise does, into result, which
// may be nil. function is the text of one; args are encoded.
func (t *tab) eval(ctx context.Context, id cdp.FrameID, function string, result any, args ...any) error {
	params := runtime.CallFunctionOnParams{FunctionDeclaration: function, ReturnByValue: new(true), AwaitPromise: new(true), UserGesture: new(true)}
	for _, a := range args {
		b, err := json.Marshal(a)
		if err != nil {
			return err
		}
		params.Arguments = append(params.Arguments, &runtime.CallArgument{Value: b})
	}
	var err error
	for try := range 2 {
		if params.ExecutionContextID, err = t.world(ctx, id, try > 0); err != nil {
			return err
		}
		value, err := t.invoke(ctx, params)
		switch {
		case try == 0 && isProtocol(err) && strings.HasPrefix(err.Error(), "Cannot find context"): // the frame has gone elsewhere
		case err != nil || result == nil:
			return err
		default:
			return json.Unmarshal(value.Value, result)
		}
	}
	return err
}

// world gives our world of a frame's document, with the script in it. It is made once, for bids live in it; again makes
// that of a document that has taken another's place.
func (t *tab) world(ctx context.Context, id cdp.FrameID, again bool) (runtime.ExecutionContextID, error) {
	t.mu.Lock()
	at, ok := t.worlds[id]
	t.mu.Unlock()
	if ok && !again {
		return at, nil
	}
	made, err := call(ctx, t.session, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: id, WorldName: worldName})
	if err != nil {
		return 0, err
	}
	at = made.ExecutionContextID
	if _, err := t.invoke(ctx, runtime.CallFunctionOnParams{ExecutionContextID: at, FunctionDeclaration: "function() {" + pageScript + "}"}); err != nil {
		return 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.worlds) > 10*maxFrames { // mostly of frames that have gone
		clear(t.worlds)
	}
	t.worlds[id] = at
	return at, nil
}

func (t *tab) invoke(ctx context.Context, params runtime.CallFunctionOnParams) (*runtime.RemoteObject, error) {
	got, err := call(ctx, t.session, runtime.CallFunctionOn, params)
	switch {
	case err != nil:
		return nil, err
	case got.ExceptionDetails != nil:
		text := got.ExceptionDetails.Text
		if e := got.ExceptionDetails.Exception; e != nil && e.Description != "" {
			text = e.Description
		}
		return nil, &protocolError{Message: text}
	case got.Result == nil:
		return nil, errors.New("the page's script gives nothing")
	}
	return got.Result, nil
}

// mark names the elements of all frames. full tells of each, else only of those that can be acted upon.
func (t *tab) mark(ctx context.Context, full bool) error {
	tree, err := call(ctx, t.session, page.GetFrameTree, cdp.Empty{})
	if err != nil {
		return err
	}
	t.frames = nil
	return t.markBelow(ctx, tree.FrameTree, nil, full)
}

func (t *tab) markBelow(ctx context.Context, tree *page.FrameTree, parent *frame, full bool) error {
	f := &frame{id: tree.Frame.ID, parent: parent}
	if parent != nil {
		if f.bid = t.owner(ctx, f.id, parent); f.bid == "" {
			return nil // it has gone, or is the inside of a viewer
		}
		var at [2]float64
		if err := t.eval(ctx, parent.id, "bid => sandtree.offset(bid)", &at, f.bid); err != nil {
			return unlessGone(err)
		}
		f.x, f.y = parent.x+at[0], parent.y+at[1]
	}
	var got struct{ Rows []row }
	if err := t.eval(ctx, f.id, "(...a) => sandtree.mark(...a)", &got, f.bid, full, maxElements); err != nil {
		if parent == nil {
			return err
		}
		return unlessGone(err)
	}
	f.rows = got.Rows
	t.frames = append(t.frames, f)
	for _, inner := range tree.ChildFrames {
		if len(t.frames) >= maxFrames || t.marked() >= maxElements {
			break
		}
		if err := t.markBelow(ctx, inner, f, full); err != nil {
			return err
		}
	}
	return nil
}

// marked is how many elements the frames looked at have told of.
func (t *tab) marked() (n int) {
	for _, f := range t.frames {
		n += len(f.rows)
	}
	return n
}

// unlessGone forgives what the browser answers about a frame that has gone.
func unlessGone(err error) error {
	if isProtocol(err) {
		return nil
	}
	return err
}

// owner gives the bid of the element that shows a frame; "" if that cannot be told.
func (t *tab) owner(ctx context.Context, id cdp.FrameID, parent *frame) string {
	owner, err := call(ctx, t.session, dom.GetFrameOwner, dom.GetFrameOwnerParams{FrameID: id})
	if err != nil {
		return ""
	}
	at, err := t.world(ctx, parent.id, false)
	if err != nil {
		return ""
	}
	node, err := call(ctx, t.session, dom.ResolveNode, dom.ResolveNodeParams{BackendNodeID: owner.BackendNodeID, ExecutionContextID: at})
	if err != nil || node.Object == nil {
		return ""
	}
	value, err := t.invoke(ctx, runtime.CallFunctionOnParams{ObjectID: node.Object.ObjectID, ReturnByValue: new(true),
		FunctionDeclaration: "function() { return sandtree.bidOf(this); }"})
	var bid string
	if err != nil || json.Unmarshal(value.Value, &bid) != nil {
		return ""
	}
	return bid
}

// frameOf gives the frame that an element is in, going by its bid; nil if there is none such.
func (t *tab) frameOf(bid string) *frame {
	prefix := strings.TrimRight(bid, "0123456789")
	for _, f := range t.frames {
		switch {
		case f.bid == prefix && prefix != bid:
			return f
		case f.bid == bid && f.parent != nil: // the element that shows a frame
			return f.parent
		}
	}
	if prefix == bid && bid != "" { // such an element, whose frame has not come
		for _, f := range t.frames {
			if f.bid == bid[:max(len(bid)-1, 0)] {
				return f
			}
		}
	}
	return nil
}

// focused gives the bid of the focused element, in whatever frame that is.
func (t *tab) focused(ctx context.Context) (string, error) {
	if len(t.frames) == 0 {
		return "", nil
	}
	for f, depth := t.frames[0], 0; ; depth++ {
		var bid string
		if err := t.eval(ctx, f.id, "() => sandtree.focused()", &bid); err != nil {
			return "", unlessGone(err)
		}
		inner := t.inside(bid)
		if inner == nil || depth > maxFrames {
			return bid, nil
		}
		f = inner
	}
}

// inside gives the frame that an element shows; nil if it shows none.
func (t *tab) inside(bid string) *frame {
	for _, f := range t.frames {
		if f.bid == bid && bid != "" {
			return f
		}
	}
	return nil
}
