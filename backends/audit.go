package backends

import (
	"context"
	"fmt"
	"slices"

	"github.com/sandtree/sandtree/sandbox"
)

// What a driver may tell of, by the names that AuditNames and Auditor use; those before a dot are the keys of sandbox.Audit in JSON.
const (
	AuditExec         = "exec"
	AuditPrivileges   = "privileges"
	AuditLimits       = "limits"
	AuditFilesChanged = "files.changed"
	AuditFilesAll     = "files.all"
	AuditSyscalls     = "syscalls"
)

// An Auditor is a driver that can tell what programs do: it names what, as AuditNames does, on this machine, and says why it
// cannot tell the rest, for people; nil if there is no rest. It tells Options.OnAudit. One that is no Auditor tells nothing.
type Auditor interface {
	Audits() (names []string, lacks error)
}

// audits says of each what a spec asks.
var audits = []struct {
	name  string
	asked func(sandbox.Audit) bool
}{
	{AuditExec, func(a sandbox.Audit) bool { return a.Exec }},
	{AuditPrivileges, func(a sandbox.Audit) bool { return a.Privileges }},
	{AuditLimits, func(a sandbox.Audit) bool { return a.Limits }},
	{AuditFilesChanged, func(a sandbox.Audit) bool {
		return a.Files == sandbox.AuditFilesChanged || a.Files == sandbox.AuditFilesAll
	}},
	{AuditFilesAll, func(a sandbox.Audit) bool { return a.Files == sandbox.AuditFilesAll }},
	{AuditSyscalls, func(a sandbox.Audit) bool { return len(a.Syscalls) > 0 }},
}

// AuditNames are all of them.
var AuditNames = func() (names []string) {
	for _, a := range audits {
		names = append(names, a.name)
	}
	return names
}()

// checkAudit refuses what is asked for and cannot be told. Code: Unsupported.
func checkAudit(backend string, spec sandbox.Spec, d Driver) error {
	if spec.Audit.IsZero() {
		return nil
	}
	var names []string
	var lacks error
	if a, ok := d.(Auditor); ok {
		names, lacks = a.Audits()
	}
	for _, a := range audits {
		if !a.asked(spec.Audit) || slices.Contains(names, a.name) {
			continue
		}
		err := fmt.Errorf("backend %q cannot tell of it here, and what is asked for is never left out silently: do without, or take another backend", backend)
		if lacks != nil {
			err = fmt.Errorf("%w: %w", err, lacks)
		}
		return &sandbox.Error{Code: sandbox.Unsupported, Op: "audit." + a.name, ID: spec.ID, Err: err}
	}
	return nil
}

// Attentive is an instance that looks, after each action, which files have changed, if its spec's Audit says so.
type Attentive interface {
	// Acted says that an action has ended. It does not wait.
	Acted()
}

// Do performs an action, as the client does, and has the instance look what it has changed.
func (s *Sandbox) Do(ctx context.Context, a sandbox.Action, out sandbox.Output) (sandbox.Observation, error) {
	seen, err := s.Client.Do(ctx, a, out)
	if i, ok := s.instance.(Attentive); ok {
		i.Acted()
	}
	return seen, err
}
