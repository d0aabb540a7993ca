package sandbox_test

import (
	"regexp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// TestActionIDsLieTogether: those of a later millisecond come later, and those of one are different.
func TestActionIDsLieTogether(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{24}$`)
	synctest.Test(t, func(t *testing.T) {
		var ids []string
		for range 300 {
			ids = append(ids, sandbox.NewActionID())
			time.Sleep(time.Millisecond)
		}
		if !slices.IsSorted(ids) {
			t.Error("not in the order of their making")
		}
		seen := map[string]bool{}
		for range 10_000 {
			id := sandbox.NewActionID()
			if !form.MatchString(id) || seen[id] {
				t.Fatal(id)
			}
			seen[id] = true
		}
	})
}
