package docker

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// named are the names of phases, without those of what is no part of the driver's; together they take no longer than the whole.
func named(t *testing.T, all []sandbox.Phase) (names []string) {
	t.Helper()
	var parts, whole time.Duration
	for _, p := range all {
		switch {
		case p.Name == sandbox.PhasePlace:
			whole = p.Took
		case strings.HasPrefix(p.Name, sandbox.PhasePlace+"."):
			names = append(names, p.Name)
			parts += p.Took
		}
	}
	if parts <= 0 || parts > whole {
		t.Errorf("the parts take %v, the whole %v: %v", parts, whole, all)
	}
	return names
}

// A start says where its time goes: the pull of an image that is not there, and what the engine is asked for.
func TestStartTellsItsPhases(t *testing.T) {
	c, _ := fromRegistry(t, "", "")
	c.Network = networkFiltered
	d, b := opened(t, c)
	rest := []string{sandbox.PhaseCreate, sandbox.PhaseConnect, sandbox.PhaseSpawn, sandbox.PhaseBoot, sandbox.PhaseNetwork}
	first, _ := started(t, b, sandbox.Spec{ID: "first"})
	if names, want := named(t, first.Phases()), append([]string{sandbox.PhaseCreate, sandbox.PhasePull}, rest...); !slices.Equal(names, want) {
		t.Errorf("of a start with a pull they are %q, want %q", names, want)
	}
	second, _ := started(t, b, sandbox.Spec{ID: "second"})
	if names := named(t, second.Phases()); !slices.Equal(names, rest) {
		t.Errorf("they are %q, want %q", names, rest)
	}
	t.Log(second.Phases())
	if err := second.Halt(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, _ := started(t, b, sandbox.Spec{ID: "second"})
	if names := named(t, again.Phases()); !slices.Equal(names, rest[1:]) {
		t.Errorf("of a revival they are %q, want %q", names, rest[1:])
	}
	shape, _ := d.Shape(sandbox.Spec{})
	blank, err := d.Warm(t.Context(), sandbox.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	warm := backends.Open("docker", d, backends.Config{Claim: func(_, asked string, _ sandbox.Spec) backends.Blank {
		if asked != shape {
			t.Errorf("asked for %q, have %q", asked, shape)
		}
		return blank
	}})
	adopted, err := warm.Start(t.Context(), sandbox.Spec{ID: "third"})
	if err != nil {
		t.Fatal(err)
	}
	defer adopted.Close()
	if names, want := named(t, adopted.Phases()), []string{sandbox.PhaseBoot}; !slices.Equal(names, want) {
		t.Errorf("of a warm one they are %q, want %q", names, want)
	}
}
