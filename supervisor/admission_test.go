package supervisor

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
)

// A start that the host has no room for makes nothing, and says what there is not enough of.
func TestNoRoomOnTheHost(t *testing.T) {
	leak.Check(t)
	dir := stateDir(t)
	s := openSystem(t, dir, func(c *Config) {
		c.Overcommit = 1e-9 // of what this host has, whatever that is
		c.Restart = Restart{Intensity: -1}
	})
	_, err := s.Runtime(t.Context(), sandbox.Spec{ID: "a"})
	if sandbox.CodeOf(err) != sandbox.Exhausted || !strings.Contains(err.Error(), "admission.overcommit") {
		t.Errorf("no room: %v", err)
	}
	for _, pattern := range []string{"local/[^.]*", "admission/*@*"} {
		if left, _ := filepath.Glob(filepath.Join(dir, pattern)); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
	roomy := openSystem(t, stateDir(t), func(c *Config) { c.Overcommit = -1 })
	if _, err := roomy.Runtime(t.Context(), sandbox.Spec{ID: "a", Limits: sandbox.Limits{Processes: 1 << 22}}); err != nil && sandbox.CodeOf(err) != sandbox.Unsupported {
		t.Errorf("any number of times: %v", err)
	}
}
