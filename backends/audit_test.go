package backends

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
)

type auditor struct {
	Driver
	names []string
}

func (a auditor) Audits() ([]string, error) { return a.names, errors.New("the machine is too old") }

// What is asked for and cannot be told is refused before anything is made.
func TestAuditIsRefused(t *testing.T) {
	none, some := Open("none", struct{ Driver }{}, Config{}), Open("some", auditor{names: []string{AuditExec, AuditFilesChanged}}, Config{})
	for field, a := range map[string]sandbox.Audit{
		"audit.privileges": {Privileges: true}, "audit.limits": {Limits: true}, "audit.syscalls": {Syscalls: []string{"bpf"}},
		"audit.files.all": {Files: sandbox.AuditFilesAll},
	} {
		for _, b := range []*Backend{none, some} {
			_, err := b.Start(context.Background(), sandbox.Spec{ID: "x", Audit: a})
			if sandbox.CodeOf(err) != sandbox.Unsupported || b == some && (!strings.Contains(err.Error(), field) || !strings.Contains(err.Error(), "too old")) {
				t.Errorf("%s of %s: %v", field, b.Name(), err)
			}
		}
	}
	for _, a := range []sandbox.Audit{{Exec: true}, {Files: sandbox.AuditFilesChanged}} {
		if err := some.Supports(sandbox.Spec{ID: "x", Audit: a}); err != nil {
			t.Errorf("%+v: %v", a, err)
		}
		if err := none.Supports(sandbox.Spec{ID: "x", Audit: a}); sandbox.CodeOf(err) != sandbox.Unsupported {
			t.Errorf("%+v of one that tells nothing: %v", a, err)
		}
	}
	if err := none.Supports(sandbox.Spec{ID: "x", Audit: sandbox.Audit{Files: sandbox.AuditFilesOff, Rate: 3}}); err != nil {
		t.Errorf("an audit of nothing: %v", err)
	}
}
