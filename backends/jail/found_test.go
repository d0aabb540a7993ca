package jail_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// TestFound starts a sandbox that lives: it has the policy of the latest start, and never half of its limits.
func TestFound(t *testing.T) {
	dir := t.TempDir()
	b := backends.Open("jail", open(t, dir), backends.Config{})
	ends(t, b, "x")
	began(t, b, sandbox.Spec{ID: "x"})
	spec := sandbox.Spec{ID: "x", Epoch: 1, Egress: sandbox.Egress{Mode: sandbox.EgressDenyAll}}
	s := began(t, b, spec)
	var label struct{ Egress sandbox.Egress }
	text, err := os.ReadFile(filepath.Join(dir, "jail/x/label.json"))
	if err == nil {
		err = json.Unmarshal(text, &label)
	}
	if err != nil || label.Egress.Mode != sandbox.EgressDenyAll {
		t.Errorf("the label has the policy %+v, %v", label.Egress, err)
	}
	get := `python3 -c 'import urllib.request as u; print(u.build_opener(u.ProxyHandler({"http": "http://127.0.0.1:3128"})).open("http://192.0.2.1/", timeout=5).read())' 2>&1 | tail -1`
	if got := run(t, s, get); !strings.Contains(got, "403") {
		t.Errorf("what is denied says %q", got)
	}
	spec.Limits = sandbox.Limits{Processes: sandbox.DefaultProcesses} // which it has
	began(t, b, spec)
	for _, l := range []sandbox.Limits{{Processes: 50}, {Network: 1e6}, {Connections: 3}, {Ports: "443"}} {
		spec.Limits = l
		if s, err := b.Start(t.Context(), spec); sandbox.CodeOf(err) != sandbox.Conflict {
			t.Errorf("with %+v: %v", l, err)
			if err == nil {
				s.Close()
			}
		}
	}
	if got := run(t, s, "echo on"); got != "on" {
		t.Errorf("it says %q", got)
	}
}
