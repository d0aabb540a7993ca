package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sandtree/sandtree/sandbox"
)

func rmCommand(a *app) *cobra.Command {
	var ended bool
	cmd := &cobra.Command{
		Use:   "rm ID...",
		Short: "End runtimes and forget them",
		Long: `End runtimes, with everything that runs in them, and forget their events. A workspace that was named by
--workspace stays; one that sandtree made does not.`,
		Example: `  sandtree rm web
  sandtree rm --ended`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && !ended {
				return misuse(cmd, "want the ids of runtimes, or --ended")
			}
			rows, err := a.runtimes(cmd.Context())
			if err != nil {
				return err
			}
			ids := args
			for _, r := range rows {
				if ended && !r.lives() {
					ids = append(ids, string(r.ID))
				}
			}
			system, err := a.system(cmd.Context(), nil)
			if err != nil {
				return err
			}
			a.closers = append(a.closers, closing(cmd.Context(), system))
			var errs []error
			removed := []string{}
			for _, id := range ids {
				err := system.Remove(cmd.Context(), sandbox.ID(id))
				if err != nil {
					errs = append(errs, unknown(sandbox.ID(id), err))
					continue
				}
				if removed = append(removed, id); !a.json {
					fmt.Fprintln(a.call.Stdout, id)
				}
			}
			if a.json {
				errs = append(errs, writeJSON(a.call.Stdout, map[string]any{"removed": removed}))
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().BoolVar(&ended, "ended", false, "all that have ended")
	return cmd
}
