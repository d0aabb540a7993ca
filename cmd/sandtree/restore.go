package main

import (
	"github.com/spf13/cobra"
)

func restoreCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "restore ID SNAPSHOT",
		Short: "Give a runtime the files of a snapshot instead of its own",
		Long: `Give a runtime the workspace and home of a snapshot instead of its own, which are gone then. Everything that runs in it
is ended; its id, its events and the record of what it has done stay, so that nothing is done again. A workspace that was
named by --workspace is left alone: fork the snapshot instead.`,
		Example: `  sandtree restore web before-upgrade
  sandtree snapshot web --name now && sandtree restore web before-upgrade`,
		Args:              wants(2, 2, "the id of a runtime and the name of a snapshot"),
		ValidArgsFunction: a.completeIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := a.spec(placement{id: args[0], keep: true})
			if err != nil {
				return err
			}
			system, err := a.system(cmd.Context(), nil)
			if err != nil {
				return err
			}
			a.closers = append(a.closers, closing(cmd.Context(), system))
			rt, err := system.Restore(cmd.Context(), args[1], spec)
			if err != nil {
				return err
			}
			return a.tellFiles(rt.ID(), args[1])
		},
	}
}
