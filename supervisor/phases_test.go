package supervisor

import (
	"slices"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// What a start spends its time on is told, step by step.
func TestAStartTellsItsPhases(t *testing.T) {
	s := openSystem(t, stateDir(t), nil)
	begun := time.Now()
	rt := openRuntime(t, s, sandbox.Spec{Setup: sandbox.Setup{Env: map[string]string{"A": "b"}}})
	took := time.Since(begun)
	st, err := rt.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	var sum time.Duration
	for _, p := range st.Phases {
		names = append(names, p.Name)
		if p.Begun.Before(begun) || p.Took < 0 || p.Begun.Add(p.Took).After(begun.Add(took)) {
			t.Errorf("%s: from %v, for %v, of %v", p.Name, p.Begun.Sub(begun), p.Took, took)
		}
		if p.Name != sandbox.PhaseSpawn && p.Name != sandbox.PhaseBoot {
			sum += p.Took
		}
	}
	want := []string{sandbox.PhaseLease, sandbox.PhaseAttach, sandbox.PhaseAdmit, sandbox.PhaseSpawn, sandbox.PhaseBoot,
		sandbox.PhasePlace, sandbox.PhaseSetUp, sandbox.PhaseHooks}
	if !slices.Equal(names, want) {
		t.Errorf("the phases are %q, want %q", names, want)
	}
	if sum > took {
		t.Errorf("the phases took %v together, the whole %v", sum, took)
	}
	t.Log(st.Phases, took)
}
