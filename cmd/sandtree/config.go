package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func configCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "config",
		Short: "Show each setting and where it came from",
		Long: `Show each setting and where it came from: the defaults, over them the file, over that the environment
(SANDTREE_ and the key in capitals, with _ for each dot), over that --set and other flags. Secrets are masked.`,
		Example: `  sandtree config
  SANDTREE_LEASE_TTL=5s sandtree config --json
  sandtree --set limits.processes=100 config`,
		Args: wants(0, 0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			c, err := a.config()
			if err != nil {
				return err
			}
			if a.json {
				return writeJSON(a.call.Stdout, map[string]any{"file": c.File, "values": c.Values})
			}
			p := a.paint(a.call.Stdout)
			t := tabwriter.NewWriter(a.call.Stdout, 0, 0, 2, ' ', 0)
			for _, v := range c.Values {
				value := fmt.Sprint(v.Value)
				if s, ok := v.Value.(string); ok {
					value = fmt.Sprintf("%q", s)
				}
				fmt.Fprintf(t, "%s\t%s\t%s\n", v.Key, value, p.dim(v.From)) // colour in the last column only: it has a width
			}
			return t.Flush()
		},
	}
}
