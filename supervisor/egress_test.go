package supervisor

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
)

func TestConnectionsAreOnRecord(t *testing.T) {
	leak.Check(t)
	s := openSystem(t, stateDir(t), nil)
	rt := openRuntime(t, s, sandbox.Spec{ID: "a"})
	s.RecordConnection("nobody", sandbox.Connection{Kind: sandbox.ConnectionOpened})
	s.RecordConnection("a", sandbox.Connection{
		Kind: sandbox.ConnectionDenied, Name: "evil.test", Addr: netip.MustParseAddr("192.0.2.1"), Port: 443, Why: sandbox.CauseName,
	})
	for r, err := range rt.Events(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Type != journal.TypeAudit {
			continue
		}
		for _, want := range []string{`"audit":"connection"`, `"kind":"denied"`, `"name":"evil.test"`, `"addr":"192.0.2.1"`, `"port":443`, `"why":"name"`} {
			if !strings.Contains(string(r.Body), want) {
				t.Errorf("want %s in %s", want, r.Body)
			}
		}
		break
	}
	// The local backend lets everybody out, and says so.
	if code := sandbox.CodeOf(rt.SetEgress(t.Context(), sandbox.Egress{Mode: sandbox.EgressDenyAll})); code != sandbox.Unsupported {
		t.Errorf("SetEgress: %q", code)
	}
	if _, err := rt.Traffic(t.Context()); sandbox.CodeOf(err) != sandbox.Unsupported {
		t.Errorf("Traffic: %v", err)
	}
	if _, err := s.Runtime(t.Context(), sandbox.Spec{ID: "b", Egress: sandbox.Egress{Mode: sandbox.EgressDenyAll}}); sandbox.CodeOf(err) != sandbox.Unsupported {
		t.Errorf("a runtime with a policy: %v", err)
	}
}
