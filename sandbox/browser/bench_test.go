package browser_test

import (
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/browser"
)

// BenchmarkActions times actions and the observations of a small form.
func BenchmarkActions(b *testing.B) {
	x := start(b, map[string]string{"/": form}, nil)
	s := x.ok(`goto("` + x.site + `")`)
	name := s.bid(b, "Your name")
	for _, c := range []struct{ name, program string }{
		{"goto", `goto("` + x.site + `")`}, {"click", `click("` + name + `")`}, {"fill", `fill("` + name + `", "x")`}, {"look", "send_msg_to_user('')"},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				x.ok(c.program)
			}
		})
	}
	b.Run("browse", func(b *testing.B) {
		for b.Loop() {
			x.browse(x.site)
		}
	})
}

// BenchmarkStart times the start of Chromium until it answers, with the first observation.
func BenchmarkStart(b *testing.B) {
	x := start(b, nil, nil)
	for b.Loop() {
		c := browser.New(browser.Config{Dir: x.dir, TempDir: x.temp, Env: environment(x.dir)})
		if _, err := c.Interact(b.Context(), sandbox.BrowseInteractiveArgs{BrowserActions: "noop(0)"}); err != nil {
			b.Fatal(err)
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
