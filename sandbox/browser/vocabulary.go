package browser

import (
	"context"
	"time"

	"github.com/chromedp/cdproto/input"
)

// lookUp gives what a word of the vocabulary means.
func lookUp(name string) (operation, bool) {
	bid := param{name: "bid"}
	switch name {
	case "noop":
		return operation{[]param{{"wait_ms", real, 1000.0}}, noop}, true
	case "send_msg_to_user":
		return operation{[]param{{name: "text"}}, say}, true
	case "report_infeasible":
		return operation{[]param{{name: "reason"}}, say}, true
	case "scroll":
		return operation{[]param{{name: "delta_x", kind: real}, {name: "delta_y", kind: real}}, scroll}, true
	case "fill":
		return operation{[]param{bid, {name: "value"}}, fill}, true
	case "clear":
		return operation{[]param{bid}, clearText}, true
	case "select_option":
		return operation{[]param{bid, {name: "options", kind: texts}}, selectOption}, true
	case "click", "dblclick":
		times := int64(1)
		if name == "dblclick" {
			times = 2
		}
		return operation{[]param{bid, {"button", text, "left"}, {"modifiers", texts, []string{}}},
			func(ctx context.Context, t *turn, a arguments) error { return click(ctx, t, a, times) }}, true
	case "hover":
		return operation{[]param{bid}, hover}, true
	case "press":
		return operation{[]param{bid, {name: "key_comb"}}, press}, true
	case "focus":
		return operation{[]param{bid}, focus}, true
	case "drag_and_drop":
		return operation{[]param{{name: "from_bid"}, {name: "to_bid"}}, dragAndDrop}, true
	case "upload_file":
		return operation{[]param{bid, {name: "file", kind: texts}}, uploadFile}, true
	}
	return lookUpPage(name)
}

// lookUpPage gives the words that are about pages.
func lookUpPage(name string) (operation, bool) {
	switch name {
	case "goto":
		return operation{[]param{{name: "url"}}, goTo}, true
	case "go_back", "go_forward":
		by := int64(-1)
		if name == "go_forward" {
			by = 1
		}
		return operation{nil, func(ctx context.Context, t *turn, _ arguments) error { return t.tab.walk(ctx, by) }}, true
	case "new_tab":
		return operation{nil, newPage}, true
	case "tab_focus":
		return operation{[]param{{name: "index", kind: whole}}, tabFocus}, true
	case "tab_close":
		return operation{nil, tabClose}, true
	}
	return operation{}, false
}

// noop waits for a time; the end of the action's own time ends it.
func noop(ctx context.Context, _ *turn, a arguments) error {
	timer := time.NewTimer(time.Duration(max(0, min(a.real(0), 1e9)) * float64(time.Millisecond)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// say does nothing: what is said stands in the action.
func say(context.Context, *turn, arguments) error { return nil }

func scroll(ctx context.Context, t *turn, a arguments) error {
	params := map[string]any{"type": input.DispatchMouseEventTypeMouseWheel, "x": t.tab.mouse[0], "y": t.tab.mouse[1],
		"deltaX": a.real(0), "deltaY": a.real(1)} // cdproto's own leaves out what is 0
	return t.tab.call(ctx, input.CommandDispatchMouseEvent, params, &struct{}{})
}

func goTo(ctx context.Context, t *turn, a arguments) error {
	url, err := address(a.text(0), t.config.Dir)
	if err != nil {
		return err
	}
	return t.tab.load(ctx, url)
}

func newPage(ctx context.Context, t *turn, _ arguments) error {
	_, err := t.engine.open(ctx)
	return err
}

func tabFocus(ctx context.Context, t *turn, a arguments) error {
	tabs, i := t.engine.list(), a.whole(0)
	if i < 0 { // as Python counts
		i += len(tabs)
	}
	if i < 0 || i >= len(tabs) {
		return failed("IndexError", "list index out of range: there are %d tabs, the first is 0", len(tabs))
	}
	return t.engine.look(ctx, tabs[i])
}

// tabClose closes the page that is looked at; the one looked at before is next.
func tabClose(ctx context.Context, t *turn, _ arguments) error {
	if err := t.engine.drop(ctx, t.tab); err != nil {
		return err
	}
	next, err := t.engine.active(ctx)
	if err != nil {
		return err
	}
	return t.engine.look(ctx, next)
}
