package browser

import (
	"context"

	"github.com/chromedp/cdproto/input"
)

func hover(ctx context.Context, t *turn, a arguments) error {
	at, err := t.tab.fit(ctx, a.text(0), "hover", want{Hit: true})
	if err != nil {
		return err
	}
	return t.tab.point(ctx, input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseMoved, X: at.X, Y: at.Y})
}

// point tells the browser of the mouse.
func (t *tab) point(ctx context.Context, e input.DispatchMouseEventParams) error {
	t.mouse = [2]float64{e.X, e.Y}
	_, err := call(ctx, t.session, input.DispatchMouseEvent, e)
	return err
}

func click(ctx context.Context, t *turn, a arguments, times int64) error {
	called := "click"
	if times > 1 {
		called = "dblclick"
	}
	button, buttons := input.MouseButton(a.text(1)), int64(1)
	switch button {
	case input.MouseButtonLeft:
	case input.MouseButtonRight:
		buttons = 2
	case input.MouseButtonMiddle:
		buttons = 4
	default:
		return failed("ValueError", "unknown button %q: there are left, middle, right", button)
	}
	held, err := modifierBits(a.texts(2))
	if err != nil {
		return err
	}
	at, err := t.tab.fit(ctx, a.text(0), called, want{Enabled: true, Hit: true})
	if err != nil {
		return err
	}
	e := input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseMoved, X: at.X, Y: at.Y, Modifiers: held}
	if err := t.tab.point(ctx, e); err != nil {
		return err
	}
	e.Button = button
	for e.ClickCount = 1; e.ClickCount <= times; e.ClickCount++ {
		e.Type, e.Buttons = input.DispatchMouseEventTypeMousePressed, buttons
		if err := t.tab.point(ctx, e); err != nil {
			return err
		}
		e.Type, e.Buttons = input.DispatchMouseEventTypeMouseReleased, 0
		if err := t.tab.point(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// dragAndDrop moves an element onto another with the mouse. Where the page drags by itself, the mouse is all; where it has
// the browser drag, that is told by an event, and the browser is then told of the drop.
func dragAndDrop(ctx context.Context, t *turn, a arguments) error {
	tab := t.tab
	to, err := tab.fit(ctx, a.text(1), "drag_to", want{})
	if err != nil {
		return err
	}
	from, err := tab.fit(ctx, a.text(0), "drag_to", want{Hit: true})
	if err != nil {
		return err
	}
	tab.mu.Lock()
	tab.drag = nil
	tab.mu.Unlock()
	if _, err := call(ctx, tab.session, input.SetInterceptDrags, input.SetInterceptDragsParams{Enabled: true}); err != nil {
		return err
	}
	defer func() {
		_, _ = call(ctx, tab.session, input.SetInterceptDrags, input.SetInterceptDragsParams{})
	}()
	e := input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseMoved, X: from.X, Y: from.Y}
	steps := []func(){
		func() {
			e.Type, e.Button, e.Buttons, e.ClickCount = input.DispatchMouseEventTypeMousePressed, "left", 1, 1
		},
		func() { e.Type, e.X, e.Y = input.DispatchMouseEventTypeMouseMoved, (from.X+to.X)/2, (from.Y+to.Y)/2 },
		func() { e.X, e.Y = to.X, to.Y },
	}
	for i := -1; i < len(steps); i++ {
		if i >= 0 {
			steps[i]()
		}
		if err := tab.point(ctx, e); err != nil {
			return err
		}
	}
	if err := tab.dropAt(ctx, to); err != nil {
		return err
	}
	e.Type, e.Buttons = input.DispatchMouseEventTypeMouseReleased, 0
	return tab.point(ctx, e)
}

// dropAt lets go of what the browser drags; nothing if it drags nothing.
func (t *tab) dropAt(ctx context.Context, to answer) error {
	t.mu.Lock()
	drag := t.drag
	t.mu.Unlock()
	if drag == nil {
		return nil
	}
	for _, typ := range []string{"dragEnter", "dragOver", "drop"} {
		params := map[string]any{"type": typ, "x": to.X, "y": to.Y, "data": drag} // the data as they came
		if err := t.call(ctx, input.CommandDispatchDragEvent, params, &struct{}{}); err != nil {
			return err
		}
	}
	return nil
}
