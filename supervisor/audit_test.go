package supervisor

import (
	"strings"
	"testing"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
)

func TestAuditIsOnRecord(t *testing.T) {
	leak.Check(t)
	s := openSystem(t, stateDir(t), nil)
	rt := openRuntime(t, s, sandbox.Spec{ID: "a"})
	if err := s.RecordAudit("nobody", []sandbox.AuditRecord{{Kind: sandbox.AuditExec}}); sandbox.CodeOf(err) != sandbox.NotFound {
		t.Errorf("what a program of nobody did is on record: %v", err)
	}
	if err := s.RecordAudit("a", []sandbox.AuditRecord{{
		Kind: sandbox.AuditExec, Path: "/bin/x", Argv: []string{"x", "-y"}, Process: &sandbox.AuditProcess{PID: 7, PPID: 3, UID: 0}, Untold: 9,
	}, {Kind: sandbox.AuditGap}}); err != nil {
		t.Fatal(err)
	}
	for r, err := range rt.Events(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Type != journal.TypeAudit {
			continue
		}
		for _, want := range []string{`"audit":"exec"`, `"path":"/bin/x"`, `"argv":["x","-y"]`, `"process":{"pid":7,"ppid":3,"uid":0}`, `"untold":9`} {
			if !strings.Contains(string(r.Body), want) {
				t.Errorf("want %s in %s", want, r.Body)
			}
		}
		break
	}
	// The local backend sees nothing, and says so.
	_, err := s.Runtime(t.Context(), sandbox.Spec{ID: "b", Audit: sandbox.Audit{Exec: true}})
	if sandbox.CodeOf(err) != sandbox.Unsupported || !strings.Contains(err.Error(), "audit.exec") {
		t.Errorf("a runtime with an audit: %v", err)
	}
}

// TestAuditThatIsNotOnRecord has a journal that takes nothing: whoever tells hears of it, and tells again.
func TestAuditThatIsNotOnRecord(t *testing.T) {
	leak.Check(t)
	s := openSystem(t, stateDir(t), nil)
	openRuntime(t, s, sandbox.Spec{ID: "a"})
	if err := s.journal.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.RecordAudit("a", []sandbox.AuditRecord{{Kind: sandbox.AuditExec}}); err == nil {
		t.Error("what a closed journal was told is on record")
	}
}
