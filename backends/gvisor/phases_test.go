package gvisor_test

import (
	"slices"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// A start says where its time goes.
func TestStartTellsItsPhases(t *testing.T) {
	b := backends.Open("gvisor", open(t, t.TempDir()), backends.Config{})
	ends(t, b, "a")
	s := began(t, b, sandbox.Spec{ID: "a"})
	var names []string
	for _, p := range s.Phases() {
		names = append(names, p.Name)
	}
	want := []string{sandbox.PhaseSpawn, sandbox.PhaseNetwork, sandbox.PhaseBoot, sandbox.PhasePlace}
	if len(names) < len(want) || !slices.Equal(names[len(names)-len(want):], want) {
		t.Errorf("they are %q, want %q at the end", names, want)
	}
	t.Log(s.Phases())
}
