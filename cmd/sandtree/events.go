package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

func eventsCommand(a *app) *cobra.Command {
	var after uint64
	var follow, trajectory bool
	cmd := &cobra.Command{
		Use:   "events [ID]",
		Short: "Show what happened in a runtime, and what happens",
		Long: `Show the events of a runtime from its journal: actions, observations, changes of status, restarts. Without ID it
is the runtime that was used last. With --follow it goes on with what happens from now on, whatever process does it.`,
		Example: `  sandtree events
  sandtree events web --follow --after 120
  sandtree events web --json | jq 'select(.type == "restart")'
  sandtree events web --trajectory > story.json`,
		Args:              wants(0, 1, "one id at most"),
		ValidArgsFunction: a.completeIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if follow && trajectory {
				return misuse(cmd, "--trajectory is a whole, and cannot follow")
			}
			j, err := a.journal()
			if err != nil {
				return err
			}
			id, err := a.pick(cmd.Context(), j, args)
			if err != nil {
				return err
			}
			if _, err := j.Runtime(cmd.Context(), id); err != nil {
				return unknown(id, err)
			}
			if trajectory {
				return exportTrajectory(cmd.Context(), j, id, after, a.call.Stdout)
			}
			show := a.showRecord()
			if follow {
				return followEvents(cmd.Context(), j, id, after, show)
			}
			return replay(cmd.Context(), j, id, after, show)
		},
	}
	cmd.Flags().Uint64Var(&after, "after", 0, "leave out the events up to this `number`")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what happens from now on")
	cmd.Flags().BoolVar(&trajectory, "trajectory", false, "write an OpenHands trajectory, for run --trajectory or for OpenHands")
	return cmd
}

// unknown says where to look where err is that there is no such runtime.
func unknown(id sandbox.ID, err error) error {
	if sandbox.CodeOf(err) != sandbox.NotFound {
		return err
	}
	return &sandbox.Error{Code: sandbox.NotFound, Op: "runtime", ID: id, Err: errors.New("there is no such runtime; `sandtree ls --all` lists those that there are")}
}

// pick is the runtime that is asked for, or the one used last.
func (a *app) pick(ctx context.Context, j *journal.Journal, args []string) (sandbox.ID, error) {
	nothing := &sandbox.Error{Code: sandbox.NotFound, Op: "events", Err: errors.New("nothing has been run yet")}
	if len(args) == 1 {
		id := sandbox.ID(args[0])
		if err := id.Check(); err != nil {
			return "", err
		}
		if j == nil {
			return "", nothing
		}
		return id, nil
	}
	if j == nil {
		return "", nothing
	}
	rows, err := j.Runtimes(ctx)
	if err != nil {
		return "", err
	}
	if len(rows) == 0 {
		return "", nothing
	}
	last := rows[0]
	for _, r := range rows {
		if !r.Updated.Before(last.Updated) {
			last = r
		}
	}
	return last.ID, nil
}

const pageOfEvents = 500 // that are held at a time

// replay shows what there is.
func replay(ctx context.Context, j *journal.Journal, id sandbox.ID, after uint64, show func(journal.Record) error) error {
	for {
		recs, err := j.Read(ctx, id, after, pageOfEvents)
		if err != nil {
			return err
		}
		for _, r := range recs {
			if err := show(r); err != nil {
				return err
			}
			after = r.Seq
		}
		if len(recs) < pageOfEvents {
			return nil
		}
	}
}

func followEvents(ctx context.Context, j *journal.Journal, id sandbox.ID, after uint64, show func(journal.Record) error) error {
	for r, err := range j.Subscribe(ctx, id, after) {
		if err != nil {
			return err
		}
		if err := show(r); err != nil {
			return err
		}
	}
	return nil
}

// showRecord writes records in the form that is asked for.
func (a *app) showRecord() func(journal.Record) error {
	if a.json {
		return func(r journal.Record) error { return writeJSON(a.call.Stdout, r) }
	}
	l := &listing{w: a.call.Stdout, p: a.paint(a.call.Stdout)}
	return l.show
}

// exportTrajectory writes the actions and observations of a runtime in OpenHands' form.
func exportTrajectory(ctx context.Context, j *journal.Journal, id sandbox.ID, after uint64, w io.Writer) error {
	var t trajectory
	if err := replay(ctx, j, id, after, t.add); err != nil {
		return err
	}
	if err := wire.WriteTrajectory(w, t.events); err != nil {
		return fmt.Errorf("write the trajectory: %w", err)
	}
	return nil
}
