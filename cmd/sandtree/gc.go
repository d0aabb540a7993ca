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

	"github.com/sandtree/sandtree/actors"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/supervisor"
)

func gcCommand(a *app) *cobra.Command {
	var dry, unknown, all bool
	var grace time.Duration
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "End sandboxes that nobody drives any more",
		Long: `End the sandboxes that nobody drives any more, as a process that was killed leaves behind, and clear away what they
have left: also an unnamed workspace, which is part of its sandbox. Whoever runs sandtree has a janitor that does so by
itself, in time; this does it now.

What is ended was driven last longer ago than its orphan_after (10 minutes if that is not set) or janitor.grace, whichever
is longer; with --grace, longer ago than that. Never ended are sandboxes that somebody drives, those whose process lives
but is too busy to say so (stalled), and those that are to live until they are removed, as with run --keep. One that the
journal does not know may be another program's, and is ended with --unknown only.`,
		Example: `  sandtree gc --dry-run
  sandtree gc
  sandtree gc --grace 0s
  sandtree gc --json | jq -r '.[] | select(.verdict == "ended") | .id'`,
		Args: wants(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			rule, err := a.rule(grace, cmd.Flags().Changed("grace"))
			if err != nil {
				return err
			}
			rule.DryRun, rule.Unknown = dry, unknown
			found, err := a.collect(cmd.Context(), rule)
			if err != nil && len(found) == 0 {
				return err
			}
			if a.json {
				err = errors.Join(err, writeJSON(a.call.Stdout, swept(found)))
			} else {
				err = errors.Join(err, a.tellSwept(found, all))
			}
			for _, f := range found {
				err = errors.Join(err, f.Err)
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&dry, "dry-run", "n", false, "end nothing, tell what would be")
	cmd.Flags().DurationVar(&grace, "grace", 0, "end what was driven last longer than this `time` ago, whatever its orphan_after is")
	cmd.Flags().BoolVar(&unknown, "unknown", false, "end those too that the journal does not know, the grace after they were made")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "tell of those too that somebody drives or wants kept")
	return cmd
}

// rule is what is to be ended: as the janitors do it, or by hand.
func (a *app) rule(grace time.Duration, byHand bool) (supervisor.Rule, error) {
	c, err := a.config()
	switch {
	case err != nil:
		return supervisor.Rule{}, err
	case grace < 0:
		return supervisor.Rule{}, &sandbox.Error{Code: sandbox.Invalid, Op: "--grace", Err: fmt.Errorf("want 0 or more, have %v", grace)}
	case byHand:
		return supervisor.Rule{Grace: grace, Only: true}, nil
	}
	return supervisor.Rule{Grace: c.Janitor.Grace}, nil
}

// collect looks at all sandboxes. Where nothing has been run there are none, and looking makes no file.
func (a *app) collect(ctx context.Context, r supervisor.Rule) ([]supervisor.Finding, error) {
	c, err := a.config()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(c.StateDir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	system, err := a.system(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer closing(ctx, system)()
	return system.Collect(ctx, r)
}

// sweptJSON is a finding for programs.
type sweptJSON struct {
	Backend string          `json:"backend"`
	ID      sandbox.ID      `json:"id"`
	Verdict actors.Verdict  `json:"verdict"`
	Owner   string          `json:"owner,omitempty"`
	Epoch   uint64          `json:"epoch"`
	Created time.Time       `json:"created,omitzero"`
	Exited  bool            `json:"exited"`
	Left    time.Time       `json:"left,omitzero"`
	Due     time.Time       `json:"due,omitzero"`
	Error   json.RawMessage `json:"error,omitempty"`
}

func swept(found []supervisor.Finding) []sweptJSON {
	out := make([]sweptJSON, len(found))
	for i, f := range found {
		out[i] = sweptJSON{f.Backend, f.ID, f.Verdict, f.Owner, f.Epoch, f.Created, f.Exited, f.Left, f.Due, nil}
		if f.Err != nil {
			out[i].Error = wire.AppendError(nil, f.Err)
		}
	}
	return out
}

func (a *app) tellSwept(found []supervisor.Finding, all bool) error {
	shown := slices.DeleteFunc(slices.Clone(found), func(f supervisor.Finding) bool {
		return !all && (f.Verdict == actors.Held || f.Verdict == actors.Kept)
	})
	if len(shown) == 0 {
		_, err := fmt.Fprintln(a.call.Stdout, "there is nothing to end")
		return err
	}
	t := tabwriter.NewWriter(a.call.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tBACKEND\tVERDICT\tLEFT\tWHY")
	for _, f := range shown {
		left := "-"
		if !f.Left.IsZero() {
			left = ago(time.Since(f.Left))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", f.ID, f.Backend, f.Verdict, left, why(f))
	}
	return t.Flush()
}

// why says what a verdict comes of, or what can be done about it.
func why(f supervisor.Finding) string {
	switch f.Verdict {
	case actors.Held:
		return "driven by " + orDash(f.Owner)
	case actors.Stalled:
		return fmt.Sprintf("%s lives and has not let go: end that process first", orDash(f.Owner))
	case actors.Kept:
		return "to live until `sandtree rm " + string(f.ID) + "`"
	case actors.Unknown:
		return "not in the journal of this state directory; --unknown ends it"
	case actors.Orphan:
		return "is ended in " + ago(time.Until(f.Due))
	case actors.Overdue:
		return "would be ended"
	case actors.Taken:
		return "somebody has come back to it"
	case actors.Failed:
		return firstLine(plainly(f.Err))
	}
	if f.Exited {
		return "its server had ended before"
	}
	return "was running"
}

// orphans is what doctor says of the sandboxes that nobody drives.
func orphans(ctx context.Context, a *app) finding {
	const name = "orphans"
	rule, err := a.rule(0, false)
	var found []supervisor.Finding
	if err == nil {
		rule.DryRun = true
		found, err = a.collect(ctx, rule)
	}
	if err != nil {
		return finding{name, noted, "not known: " + plainly(err)}
	}
	count := map[actors.Verdict]int{}
	for _, f := range found {
		count[f.Verdict]++
	}
	var words []string
	for _, v := range []actors.Verdict{actors.Overdue, actors.Orphan, actors.Stalled, actors.Unknown} {
		if n := count[v]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, v))
		}
	}
	if len(words) == 0 {
		return finding{name, fine, "none"}
	}
	return finding{name, noted, strings.Join(words, ", ") + ": `sandtree gc --dry-run` tells of them, `sandtree gc` ends what is overdue"}
}
