package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor"
)

func forkCommand(a *app) *cobra.Command {
	var p placement
	cmd := &cobra.Command{
		Use:   "fork SNAPSHOT|ID",
		Short: "Start a runtime with the files of a snapshot, or of another runtime",
		Long: `Start a runtime whose workspace and home are those of a snapshot; or, if there is no snapshot of that name, those that
the runtime of that id has now. It is on the same backend, gets an id, a shell and variables of its own, and is left running.
Neither sees what the other writes from then on.`,
		Example: `  sandtree fork before-upgrade --id try
  sandtree fork web --id web2
  sandtree shell $(sandtree fork web)`,
		Args:              wants(1, 1, "the name of a snapshot or the id of a runtime"),
		ValidArgsFunction: a.completeIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			p.keep = true
			spec, err := a.spec(p)
			if err != nil {
				return err
			}
			system, err := a.system(cmd.Context(), nil)
			if err != nil {
				return err
			}
			a.closers = append(a.closers, closing(cmd.Context(), system))
			name, done, err := a.snapshotOf(cmd.Context(), system, args[0])
			if err != nil {
				return err
			}
			rt, err := system.Fork(cmd.Context(), name, spec)
			if err := errors.Join(done(), err); err != nil {
				return err
			}
			return a.tellFiles(rt.ID(), args[0])
		},
	}
	cmd.Flags().StringVar(&p.id, "id", "", "`id` of the new runtime (default: one of its own)")
	cmd.Flags().StringArrayVarP(&p.env, "env", "e", nil, "set a `NAME=value` in the new runtime, or NAME to pass on ours; may be repeated")
	return cmd
}

// snapshotOf gives the name of a snapshot: that of one, or of one that is made of a runtime, and removed when done is called.
func (a *app) snapshotOf(ctx context.Context, system *supervisor.System, from string) (name string, done func() error, err error) {
	nothing := func() error { return nil }
	_, err = system.FindSnapshot(ctx, from)
	if sandbox.CodeOf(err) != sandbox.NotFound {
		return from, nothing, err
	}
	if gone := a.exists(ctx, sandbox.ID(from)); gone != nil {
		return "", nothing, err // there is neither
	}
	spec, err := a.spec(placement{id: from, keep: true})
	if err != nil {
		return "", nothing, err
	}
	spec.Setup.Env = nil
	rt, err := system.Runtime(ctx, spec)
	if err != nil {
		return "", nothing, err
	}
	made, err := rt.Snapshot(ctx, "")
	if err != nil {
		return "", nothing, err
	}
	return made.Name, func() error { return system.RemoveSnapshot(context.WithoutCancel(ctx), made.Name) }, nil
}

// tellFiles tells which runtime has got files.
func (a *app) tellFiles(id sandbox.ID, from string) error {
	if a.json {
		return writeJSON(a.call.Stdout, map[string]any{"id": id, "from": from})
	}
	fmt.Fprintln(a.call.Stdout, id)
	return nil
}
