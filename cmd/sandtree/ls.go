package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor"
)

func lsCommand(a *app) *cobra.Command {
	var all, quiet bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List runtimes",
		Long: `List the runtimes of the state directory: those that live, and with --all those that have ended too, whose
events are kept until they are removed. HELD BY is the process that drives one now.
Of those that nobody drives, one that is KEPT lives until it is removed, and an ORPHAN, as a process that was killed
leaves behind, ends by itself after orphan_after (10 minutes if that is not set) unless it is used again; sandtree gc ends
it sooner.`,
		Args: wants(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows, err := a.runtimes(cmd.Context())
			if err != nil {
				return err
			}
			if !all {
				rows = slices.DeleteFunc(rows, func(r listed) bool { return !r.lives() })
			}
			switch {
			case a.json:
				return writeJSON(a.call.Stdout, append([]listed{}, rows...)) // [] rather than null
			case quiet:
				for _, r := range rows {
					fmt.Fprintln(a.call.Stdout, r.ID)
				}
				return nil
			}
			return table(a, rows)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "those that have ended too")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "ids only")
	return cmd
}

// listed is a runtime as the journal and its backend know it.
type listed struct {
	journal.RuntimeRow
	Alive bool `json:"alive"` // its sandbox lives
}

// lives says whether it is worth a line: its sandbox lives, or somebody is about to start it again.
func (l listed) lives() bool { return l.Alive || l.Holder != "" }

// state is what it is doing.
func (l listed) state() string {
	switch {
	case l.Holder != "":
		return short(l.Status)
	case l.Alive && l.forEver():
		return "KEPT"
	case l.Alive:
		return "ORPHAN"
	}
	return "ENDED"
}

// forEver says whether it lives on if nobody wants it.
func (l listed) forEver() bool {
	var s struct {
		OrphanAfter time.Duration `json:"orphan_after"`
	}
	return json.Unmarshal(l.Spec, &s) != nil || s.OrphanAfter < 0
}

// runtimes are those of the state directory. Where nothing has been run there are none.
func (a *app) runtimes(ctx context.Context) ([]listed, error) {
	c, err := a.config()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(c.JournalConfig().Path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil // and looking must not make a file
	}
	system, err := a.system(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer closing(ctx, system)()
	rows, err := system.List(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]listed, len(rows))
	for i, r := range rows {
		all[i] = listed{r.RuntimeRow, r.Alive}
	}
	return all, nil
}

// closing lets go of a System in any case.
func closing(ctx context.Context, s *supervisor.System) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
		defer cancel()
		return s.Close(ctx)
	}
}

func table(a *app, rows []listed) error {
	t := tabwriter.NewWriter(a.call.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tBACKEND\tSTATE\tEVENTS\tAGE\tHELD BY\tWORKSPACE")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", r.ID, r.Backend, r.state(), r.LastSeq, ago(time.Since(r.Created)),
			orDash(r.Holder), orDash(r.Workspace))
	}
	return t.Flush()
}

// short is a status without the words that all of them begin with.
func short(s sandbox.Status) string {
	_, after, ok := strings.Cut(string(s), "$")
	if !ok {
		return orDash(string(s))
	}
	return after
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
