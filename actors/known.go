package actors

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/sandbox"
)

// known is what the journal knows of a runtime when it is activated.
type known struct {
	exists    bool
	backend   string
	saved     savedSpec
	setUp     bool // its sandbox was set up to the end
	unsettled []journal.Record
}

// savedSpec is what is kept of a Spec: no value of a variable, and no token.
type savedSpec struct {
	Workspace   string         `json:"workspace,omitempty"`
	From        string         `json:"from,omitempty"`
	Repository  string         `json:"repository,omitempty"`
	Branch      string         `json:"branch,omitempty"`
	InitGit     bool           `json:"init_git,omitempty"`
	GitUser     string         `json:"git_user,omitempty"`
	GitEmail    string         `json:"git_email,omitempty"`
	NoScripts   bool           `json:"no_scripts,omitempty"`
	Limits      sandbox.Limits `json:"limits,omitzero"`
	Egress      sandbox.Egress `json:"egress,omitzero"`
	Idle        sandbox.Idle   `json:"idle,omitzero"`
	Audit       sandbox.Audit  `json:"audit,omitzero"`
	OrphanAfter time.Duration  `json:"orphan_after,omitempty"` // nanoseconds
	Env         []string       `json:"env,omitempty"`          // names
	SetUp       bool           `json:"set_up,omitempty"`
}

func recall(ctx context.Context, store Store, id sandbox.ID) (known, error) {
	var k known
	switch row, err := store.Runtime(ctx, id); sandbox.CodeOf(err) {
	case "":
		if err := json.Unmarshal(row.Spec, &k.saved); err != nil {
			return k, &sandbox.Error{Code: sandbox.Internal, Op: "read the saved spec", ID: id, Err: err}
		}
		k.exists, k.backend, k.setUp = true, row.Backend, k.saved.SetUp
	case sandbox.NotFound:
	default:
		return k, err
	}
	var err error
	if k.exists {
		k.unsettled, err = store.Unsettled(ctx, id)
	}
	return k, err
}

// fits says whether o can be the runtime that is known. Code: Conflict.
func (k known) fits(o Order) error {
	if !k.exists {
		return nil
	}
	return fit(k.backend, k.saved.Workspace, k.saved.From, o)
}

// fits says whether o can be the runtime that is here. Code: Conflict.
func (s *steward) fits(o Order) error {
	if o.Backend == nil {
		return nil
	}
	return fit(s.order.Backend.Name(), s.order.Spec.Workspace, s.order.Spec.From, o)
}

func fit(backend, workspace, from string, o Order) error {
	conflict := func(what, have, want string) error {
		return failure(sandbox.Conflict, "runtime", o.Spec.ID, fmt.Sprintf("its %s is %q, not %q", what, have, want))
	}
	switch w := o.Spec.Workspace; {
	case backend != o.Backend.Name():
		return conflict("backend", backend, o.Backend.Name())
	case w != "" && workspace != "" && w != workspace:
		return conflict("workspace", workspace, w)
	case o.Spec.From != "" && o.Spec.From != from:
		return conflict("first snapshot", from, o.Spec.From)
	}
	return nil
}

// complete fills in what o leaves open and is known from before. What was secret is not.
func (k known) complete(o Order) Order {
	if !k.exists {
		return o
	}
	s, old := &o.Spec, k.saved
	s.Workspace = cmp.Or(s.Workspace, old.Workspace)
	s.From = cmp.Or(s.From, old.From)
	s.OrphanAfter = cmp.Or(s.OrphanAfter, old.OrphanAfter)
	s.Limits = cmp.Or(s.Limits, old.Limits)
	s.Idle = s.Idle.Or(old.Idle)
	if s.Egress.IsZero() {
		s.Egress = old.Egress
	}
	if s.Audit.IsZero() {
		s.Audit = old.Audit
	}
	if t := &s.Setup; t.Repository == "" && !t.InitGit {
		t.Repository, t.Branch, t.InitGit = old.Repository, old.Branch, old.InitGit
		t.NoScripts = t.NoScripts || old.NoScripts
		t.GitUser, t.GitEmail = cmp.Or(t.GitUser, old.GitUser), cmp.Or(t.GitEmail, old.GitEmail)
	}
	return o
}

// saved is what is kept of a spec.
func (k known) spec(o Order) json.RawMessage {
	s, t := o.Spec, o.Spec.Setup
	names := maps.Clone(s.Env)
	if names == nil {
		names = map[string]string{}
	}
	maps.Copy(names, t.Env)
	return marshal(savedSpec{
		Workspace: s.Workspace, From: s.From, Repository: t.Repository, Branch: t.Branch, InitGit: t.InitGit, GitUser: t.GitUser,
		GitEmail: t.GitEmail, NoScripts: t.NoScripts, Limits: s.Limits, Egress: s.Egress, Idle: s.Idle, Audit: s.Audit, OrphanAfter: s.OrphanAfter,
		Env: slices.Sorted(maps.Keys(names)), SetUp: k.setUp,
	})
}

// row is what is kept of a runtime.
func (k known) row(o Order, status sandbox.Status, epoch uint64) journal.RuntimeRow {
	return journal.RuntimeRow{
		ID: o.Spec.ID, Backend: o.Backend.Name(), Status: status, Workspace: o.Spec.Workspace, Spec: k.spec(o), Epoch: epoch,
	}
}
