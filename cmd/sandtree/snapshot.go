package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor"
)

func snapshotCommand(a *app) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "snapshot ID",
		Short: "Keep the files that a runtime has now",
		Long: `Keep the files of a runtime as they are now: its workspace and its home, with docker the rest of its file system, and with
the overlay of a jail what was written over its root.
Actions that were asked for before are done first, and none runs meanwhile. The runtime goes on. A new runtime can begin
with the snapshot (sandtree fork), and the same one be given the files back (sandtree restore); both are as good when the
runtime is gone. A snapshot holds what programs have written, secrets too, and no variable of the runtime's.`,
		Example: `  sandtree snapshot web
  sandtree snapshot web --name before-upgrade
  sandtree fork before-upgrade --id try`,
		Args:              wants(1, 1, "the id of a runtime"),
		ValidArgsFunction: a.completeIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			h, err := a.existing(cmd.Context(), sandbox.ID(args[0]))
			if err != nil {
				return err
			}
			made, err := h.Snapshot(cmd.Context(), name)
			if closed := h.close(cmd.Context()); err == nil {
				err = closed
			}
			if err != nil {
				return err
			}
			if a.json {
				return writeJSON(a.call.Stdout, made)
			}
			fmt.Fprintln(a.call.Stdout, made.Name)
			fmt.Fprintf(a.call.Stderr, "%s, %s, in %v\n", contents(made), way(made), made.Took.Round(10*time.Microsecond))
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "`name` of the snapshot (default: one that is made from the runtime's id)")
	return cmd
}

func snapshotsCommand(a *app) *cobra.Command {
	var remove []string
	cmd := &cobra.Command{
		Use:   "snapshots",
		Short: "List snapshots, or remove some",
		Example: `  sandtree snapshots
  sandtree snapshots --rm before-upgrade
  sandtree snapshots --json | jq -r '.[].name'`,
		Args: wants(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			system, err := a.system(cmd.Context(), nil)
			if err != nil {
				return err
			}
			a.closers = append(a.closers, closing(cmd.Context(), system))
			for _, name := range remove {
				if err := system.RemoveSnapshot(cmd.Context(), name); err != nil {
					return err
				}
				if !a.json {
					fmt.Fprintln(a.call.Stdout, name)
				}
			}
			if a.json && remove != nil {
				return writeJSON(a.call.Stdout, map[string]any{"removed": remove})
			} else if remove != nil {
				return nil
			}
			return a.listSnapshots(cmd.Context(), system)
		},
	}
	cmd.Flags().StringArrayVar(&remove, "rm", nil, "remove the snapshot of this `name`; may be repeated. What began with it keeps its files")
	return cmd
}

func (a *app) listSnapshots(ctx context.Context, system *supervisor.System) error {
	all, err := system.Snapshots(ctx)
	if a.json {
		if all == nil {
			all = []supervisor.Snapshot{}
		}
		if e := writeJSON(a.call.Stdout, all); err == nil {
			err = e
		}
		return err
	}
	w := tabwriter.NewWriter(a.call.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tOF\tBACKEND\tAGE\tHOLDS\tMADE")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, s.Of, s.Backend, ago(time.Since(s.Created)), contents(s), way(s))
	}
	if e := w.Flush(); err == nil {
		err = e
	}
	return err
}

// contents tells how much a snapshot holds.
func contents(s supervisor.Snapshot) string {
	if s.Size < 0 {
		return "not counted"
	}
	if s.Files < 0 {
		return fmt.Sprintf("%.1f MB", float64(s.Size)/1e6)
	}
	return fmt.Sprintf("%.1f MB in %d files", float64(s.Size)/1e6, s.Files)
}

// way tells how it was made.
func way(s supervisor.Snapshot) string {
	if s.Why == "" {
		return "by " + s.Way
	}
	return fmt.Sprintf("by %s (%s)", s.Way, s.Why)
}
