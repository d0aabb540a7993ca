package docker

import (
	"reflect"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
)

// TestFoundIsBound asks for a living sandbox with other limits and another policy.
func TestFoundIsBound(t *testing.T) {
	need.Root(t)
	c := testConfig(t)
	c.Network = networkFiltered
	d, b := opened(t, c)
	before := sandbox.Spec{ID: "found", Limits: sandbox.Limits{Memory: 1 << 30, CPU: 0.5}}
	_, i := started(t, b, before)
	spec := sandbox.Spec{ID: "found", Limits: sandbox.Limits{Memory: 1 << 29, CPU: 0.25}, Egress: sandbox.Egress{Mode: sandbox.EgressDenyAll}}
	s, again := started(t, b, spec)
	if !again.found {
		t.Error("it is not the living one")
	}
	shown := must(d.engine.ContainerInspect(t.Context(), i.container.id)).HostConfig
	if shown.Memory != 1<<29 || shown.NanoCPUs != 250_000_000 {
		t.Errorf("it has %d bytes and %d of a CPU", shown.Memory, shown.NanoCPUs)
	}
	l, err := i.home.read()
	if err != nil || l.Limits != spec.Limits || !reflect.DeepEqual(l.Egress, spec.Egress) {
		t.Errorf("its label is %+v, %v", l, err)
	}
	refused(t, s, "getent hosts example.com || { echo no such name; exit 1; }", "no such name")
	for name, limits := range map[string]sandbox.Limits{
		"connections": {Memory: 1 << 29, CPU: 0.25, Connections: 5}, "CPU lifted": {Memory: 1 << 29, CPU: -1},
	} {
		if _, err := b.Start(t.Context(), sandbox.Spec{ID: "found", Limits: limits}); sandbox.CodeOf(err) != sandbox.Conflict {
			t.Errorf("%s: %v", name, err)
		}
	}
}
