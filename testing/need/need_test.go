package need_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/sandtree/sandtree/testing/need"
)

// recorder stands in for a test: it notes how it ended and ends its goroutine as a real one would.
type recorder struct {
	testing.TB
	skipped, failed string
}

func (r *recorder) Helper()                   {}
func (r *recorder) Skip(a ...any)             { r.skipped = fmt.Sprint(a...) }
func (r *recorder) Fatalf(f string, a ...any) { r.failed = fmt.Sprintf(f, a...) }

func TestMissingToolSkipsUnlessPromised(t *testing.T) {
	const missing = "no-such-program"
	for _, c := range []struct {
		name, ci, promises string
		fails              bool
	}{
		{"at home", "", missing, false},
		{"in CI, not promised", "true", "bash git", false},
		{"in CI, a longer word promised", "true", missing + "-either", false},
		{"in CI, promised", "true", "bash " + missing, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("CI", c.ci)
			t.Setenv("CI_PROMISES", c.promises)
			r := &recorder{TB: t}
			need.Tool(r, missing)
			if fails := r.failed != ""; fails != c.fails || (r.skipped != "") == c.fails {
				t.Errorf("skipped %q, failed %q; want failure: %t", r.skipped, r.failed, c.fails)
			}
		})
	}
}

func TestPresentToolIsFound(t *testing.T) {
	r := &recorder{TB: t}
	if path := need.Tool(r, "sh"); path == "" || r.skipped != "" || r.failed != "" {
		t.Errorf("sh: found at %q, skipped %q, failed %q", path, r.skipped, r.failed)
	}
}

func TestRootAndNotRootAreOpposites(t *testing.T) {
	t.Setenv("CI", "")
	root, other := &recorder{TB: t}, &recorder{TB: t}
	need.Root(root)
	need.NotRoot(other)
	if (root.skipped == "") != (os.Geteuid() == 0) || (other.skipped == "") == (root.skipped == "") {
		t.Errorf("user %d: Root skipped %q, NotRoot skipped %q", os.Geteuid(), root.skipped, other.skipped)
	}
}
