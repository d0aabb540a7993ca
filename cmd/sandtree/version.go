package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/sandtree/sandtree/sandbox/wire"
)

func versionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which sandtree this is",
		Args:  wants(0, 0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version  string `json:"version"`
				Commit   string `json:"commit,omitempty"`
				Go       string `json:"go"`
				Platform string `json:"platform"`
				Wire     int    `json:"wire"`        // version of the form spoken with sandboxd
				Oldest   int    `json:"wire_oldest"` // that is still understood
			}{version, "", runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, wire.Version, wire.OldestVersion}
			if b, ok := debug.ReadBuildInfo(); ok {
				for _, s := range b.Settings {
					if s.Key == "vcs.revision" {
						v.Commit = s.Value
					}
				}
			}
			if a.json {
				return writeJSON(a.call.Stdout, v)
			}
			fmt.Fprintf(a.call.Stdout, "sandtree %s (%s, %s, wire %d)\n", v.Version, v.Go, v.Platform, v.Wire)
			return nil
		},
	}
}
