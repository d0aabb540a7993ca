package browser_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/browser"
	"github.com/sandtree/sandtree/testing/need"
)

// A browser that the limit of processes leaves too few says so, whether it does not start, or ends, or its pages crash.
func TestTooFewProcesses(t *testing.T) {
	for _, limit := range []int{1, 10, 40, 80} { // its process alone; not even its first thread; no pages; too few for them
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			b := start(t, map[string]string{"/": form}, func(c *browser.Config) {
				if c.Child.Processes = limit; os.Geteuid() != 0 {
					return
				}
				c.Child.Cgroup = need.Cgroup(t) // the other limit does not bind root
				if err := os.WriteFile(filepath.Join(c.Child.Cgroup, "pids.max"), fmt.Append(nil, limit), 0); err != nil {
					t.Skip(err)
				}
			})
			o, err := b.Interact(t.Context(), sandbox.BrowseInteractiveArgs{BrowserActions: fmt.Sprintf("goto(%q)\nnew_tab()\nnew_tab()", b.site)})
			got := o.Content
			if err != nil {
				got = err.Error()
			}
			if want := fmt.Sprintf("the sandbox's limit of %d was met", limit); !strings.Contains(got, want) || strings.Count(got, want) > 1 {
				t.Errorf("%v %s", err, got)
			}
			t.Log(got)
		})
	}
}
