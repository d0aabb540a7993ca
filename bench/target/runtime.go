package target

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor"
)

// runtime is one of a System's.
type runtime struct {
	*supervisor.Runtime
	target  *System
	spec    sandbox.Spec
	history *history
}

func (r *runtime) ID() string { return string(r.Runtime.ID()) }

// Run performs a command in the runtime's shell.
func (r *runtime) Run(ctx context.Context, command string) (Seen, error) {
	return r.RunOnce(ctx, "", command)
}

// RunOnce is Run under an id.
func (r *runtime) RunOnce(ctx context.Context, id, command string) (Seen, error) {
	o, err := r.do(ctx, id, sandbox.RunArgs{Command: command, Blocking: true, Hidden: true})
	if err != nil {
		return Seen{}, err
	}
	return seen(o), nil
}

// seen is an observation of a command.
func seen(o sandbox.Observation) Seen {
	s := Seen{Output: o.Content, Exit: -1, Interrupted: o.Interrupted()}
	if r, ok := o.Result.(sandbox.RunResult); ok {
		s.Exit = r.Metadata.ExitCode
	}
	return s
}

// do performs an action; one that could not be performed as asked is an error, unless it was interrupted.
func (r *runtime) do(ctx context.Context, id string, args sandbox.Args) (sandbox.Observation, error) {
	o, err := r.Do(ctx, sandbox.Action{ID: id, Args: args}, nil)
	if err != nil {
		return o, err
	}
	if e, failed := o.Result.(sandbox.ErrorResult); failed && !o.Interrupted() {
		return o, &sandbox.Error{Code: sandbox.Internal, Op: string(args.Kind()), ID: r.Runtime.ID(), Err: fmt.Errorf("%s: %.200s", e.ErrorID, o.Content)}
	}
	return o, nil
}

// Stop ends the sandbox and forgets the runtime.
func (r *runtime) Stop(ctx context.Context) error {
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), ending)
	defer cancel()
	defer r.target.forget(r.Runtime.ID())
	err := r.Runtime.Kill(within)
	if removed := r.target.system.Remove(within, r.Runtime.ID()); sandbox.CodeOf(removed) != sandbox.NotFound {
		return errors.Join(removed) // which ends it whatever Kill has said
	}
	return err
}

// Cell runs a Python cell.
func (r *runtime) Cell(ctx context.Context, code string) (string, error) {
	o, err := r.do(ctx, "", sandbox.IPythonArgs{Code: code})
	return o.Content, err
}

// Write puts a file, below the workspace if its path is relative.
func (r *runtime) Write(ctx context.Context, path string, content []byte) error {
	return r.Put(ctx, path, bytes.NewReader(content))
}

// Read gets a file and tells how long it is.
func (r *runtime) Read(ctx context.Context, path string) (int64, error) {
	var n counter
	err := r.Get(ctx, path, &n)
	return int64(n), err
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

var _ io.Writer = (*counter)(nil)

// Edit replaces a text.
func (r *runtime) Edit(ctx context.Context, path, old, new string) error {
	return refused(r.do(ctx, "", sandbox.EditArgs{Path: path, Command: "str_replace", OldStr: &old, NewStr: &new, Impl: "oh_aci", Start: 1, End: -1}))
}

// refused makes an error of an editor's answer that is one.
func refused(o sandbox.Observation, err error) error {
	if err == nil && strings.HasPrefix(o.Content, "ERROR:") {
		err = &sandbox.Error{Code: sandbox.Internal, Op: "edit", Err: fmt.Errorf("%.200s", o.Content)}
	}
	return err
}

// Leave lets go of the runtime, which lives on.
func (r *runtime) Leave(ctx context.Context) error { return r.Runtime.Close(ctx) }

// Rested waits until the runtime rests, as was wished at its start.
func (r *runtime) Rested(ctx context.Context) error {
	if r.spec.Idle == (sandbox.Idle{}) {
		return &sandbox.Error{Code: sandbox.Invalid, Op: "rest", ID: r.Runtime.ID(), Err: errors.New("no rest was wished for at its start")}
	}
	want := supervisor.Paused
	if r.spec.Idle.StopAfter > 0 {
		want = supervisor.Halted
	}
	return r.history.await(ctx, func(c supervisor.StatusChange) bool { return c.State.Idle == want })
}

// Healed waits until the runtime has been ready again.
func (r *runtime) Healed(ctx context.Context, after time.Time) (time.Time, error) {
	return r.history.ready(ctx, after)
}

// Snapshot keeps the files.
func (r *runtime) Snapshot(ctx context.Context) (string, error) {
	s, err := r.Runtime.Snapshot(ctx, "")
	return s.Name, err
}

// Phases are the steps of the start that has ended since a moment.
func (r *runtime) Phases(since time.Time) []Phase { return r.history.phases(since) }

// Accounts tells what the journal has of each action.
func (r *runtime) Accounts(ctx context.Context) (map[string]Account, error) {
	const end = "bench_end"
	which := sandbox.RandomHex(8)
	body := json.RawMessage(`"` + which + `"`)
	if err := r.Record(ctx, end, body); err != nil { // so that it is seen when there are no more
		return nil, err
	}
	all := map[string]Account{}
	for rec, err := range r.Events(ctx, 0) {
		if err != nil {
			return nil, err
		}
		a := all[rec.ActionID]
		switch rec.Type {
		case journal.TypeAction:
			a.Asked++
		case journal.TypeObservation:
			a.Seen++
		case end:
			if bytes.Equal(rec.Body, body) {
				return all, nil
			}
			continue
		default:
			continue
		}
		all[rec.ActionID] = a
	}
	return all, nil
}
