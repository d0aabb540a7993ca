package transport_test

import (
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/transport"
)

// become makes the fake one of other versions, as if its program had been replaced.
func (f *fake) become(newest, oldest int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.newest, f.oldest = newest, oldest
}

func wantRequests(t *testing.T, f *fake, want ...string) {
	t.Helper()
	got := f.seen()
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("requests %q, want %q", got, want)
	}
}

func do(t *testing.T, c *transport.Client, id string) {
	t.Helper()
	o, err := c.Do(t.Context(), run(id, "x"), nil)
	if err != nil || o.Content != "x" {
		t.Errorf("%s: %q, %v", id, o.Content, err)
	}
}

// A server of today is asked once, in the newest version.
func TestNoRoundTripForTheVersion(t *testing.T) {
	f := &fake{perform: echo}
	c, _ := f.start(t, transport.Config{})
	do(t, c, "a")
	do(t, c, "b")
	wantRequests(t, f, "POST /v1/actions/a", "POST /v1/actions/b")
}

// A server as they were before there was a version 2 refuses the first request. The client goes down, and stays there.
func TestAnOldServer(t *testing.T) {
	f := &fake{perform: echo, newest: 1}
	c, _ := f.start(t, transport.Config{})
	do(t, c, "a")
	do(t, c, "b")
	wantRequests(t, f, "POST /v1/actions/a", "POST /v1/actions/a", "POST /v1/actions/b")
	if o, err := c.Settle(t.Context(), "a", nil); err != nil || o.Content != "x" {
		t.Errorf("settled as %q, %v", o.Content, err)
	}
	if s := c.Stats(); s.Retries != 0 {
		t.Errorf("%d retries", s.Retries)
	}
}

// Whatever is asked first finds the version out.
func TestAnOldServerIsAskedAnythingFirst(t *testing.T) {
	for name, ask := range map[string]func(c *transport.Client) error{
		"list":      func(c *transport.Client) error { _, err := c.List(t.Context(), ""); return err },
		"put":       func(c *transport.Client) error { return c.Put(t.Context(), "f", strings.NewReader("x")) },
		"renew":     func(c *transport.Client) error { return c.Renew(t.Context()) },
		"interrupt": func(c *transport.Client) error { return c.Interrupt(t.Context(), "a") },
		"terminal": func(c *transport.Client) error {
			term, err := c.Terminal(t.Context(), 80, 24)
			if err == nil {
				term.Close()
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{perform: echo, newest: 1}
			c, _ := f.start(t, transport.Config{})
			if err := ask(c); err != nil {
				t.Error(err)
			}
			f.seen()
			do(t, c, "a")
			wantRequests(t, f, "POST /v1/actions/a")
		})
	}
}

// A server that speaks more than this client is asked in what the client knows.
func TestANewerServer(t *testing.T) {
	f := &fake{perform: echo, newest: wire.Version + 7, oldest: wire.Version}
	c, _ := f.start(t, transport.Config{})
	do(t, c, "a")
	wantRequests(t, f, "POST /v1/actions/a")
}

// One that has given up all that this client speaks is refused by it, and both are named.
func TestNoVersionInCommon(t *testing.T) {
	for _, v := range [][2]int{{wire.Version + 3, wire.Version + 1}, {-1, -1}} {
		f := &fake{perform: echo, newest: v[0], oldest: v[1]}
		c, _ := f.start(t, transport.Config{})
		_, err := c.Do(t.Context(), run("a", "x"), nil)
		if sandbox.CodeOf(err) != sandbox.Unsupported || !strings.Contains(err.Error(), "bring one of them up to date") {
			t.Errorf("%v: %v", v, err)
		}
		if n := len(f.seen()); n != 1 {
			t.Errorf("%v: asked %d times", v, n)
		}
	}
}

// A server may be replaced by another while a client lives, up or down.
func TestAServerIsReplaced(t *testing.T) {
	f := &fake{perform: echo, newest: 1}
	c, _ := f.start(t, transport.Config{})
	do(t, c, "a")
	f.become(2, 1)
	do(t, c, "b") // in version 1, and hears of the other
	do(t, c, "c")
	f.become(2, 2)
	do(t, c, "d")
	f.seen()
	f.become(1, 1)
	do(t, c, "e")
	wantRequests(t, f, "POST /v1/actions/e", "POST /v1/actions/e")
	f.become(2, 2) // the client asks in 1, and is refused upwards
	do(t, c, "f")
	wantRequests(t, f, "POST /v1/actions/f", "POST /v1/actions/f")
	if o, err := c.Settle(t.Context(), "a", nil); err != nil || o.Content != "x" {
		t.Errorf("what was done in version 1 is settled as %q, %v", o.Content, err)
	}
}

// A server that says something else each time ends the call.
func TestAServerThatCannotDecide(t *testing.T) {
	f := &fake{perform: echo}
	f.newest = 1
	c, _ := f.start(t, transport.Config{})
	f.flip = true
	_, err := c.Do(t.Context(), run("a", "x"), nil)
	if sandbox.CodeOf(err) != sandbox.Unsupported {
		t.Error(err)
	}
	if n := len(f.seen()); n > 5 {
		t.Errorf("asked %d times", n)
	}
}
