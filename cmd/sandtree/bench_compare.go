package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sandtree/sandtree/bench/compare"
	"github.com/sandtree/sandtree/internal/cli"
	"github.com/sandtree/sandtree/sandbox"
)

// worse is the exit status of a comparison that found something worse: none that a failure of the comparison itself has.
const worse = 10

func benchCompareCommand(a *app) *cobra.Command {
	var threshold string
	var force, markdown bool
	cmd := &cobra.Command{
		Use:   "compare BEFORE AFTER",
		Short: "Say what changed between two runs of bench, beyond chance and noise",
		Long: `Compare two runs of bench: their report.json, or the directories that --out named. A change counts if chance is ruled out
(Mann–Whitney U test over the rounds, p < 0.05) and if it is greater than the noise of both runs, which is how far the
medians of their rounds lie apart. Times of different machines say little, so those are refused; with --force, and when
a run was disturbed, ratios to the floors are compared where there are some.

Exit status: 0 if nothing is worse by more than the threshold, 10 if something is, or if actions were lost or a scenario
broke that did not before; the others as for every command.`,
		Example: `  sandtree bench compare before/ after/
  sandtree bench compare --threshold 5% before/report.json after/report.json
  sandtree bench compare --markdown before/ after/ >comment.md`,
		Args: wants(2, 2, "two runs, as the directories of --out"),
		RunE: func(cmd *cobra.Command, args []string) error {
			part, err := parsePart(threshold)
			if err != nil {
				return misuse(cmd, "--threshold: %w", err)
			}
			return a.benchCompare(args[0], args[1], compare.Options{Threshold: part, Force: force}, markdown)
		},
	}
	cmd.Flags().StringVar(&threshold, "threshold", "10%", "worse by more than this `part` is a failure")
	cmd.Flags().BoolVar(&force, "force", false, "compare runs of different machines, by their ratios to floors")
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print Markdown, for a pull request")
	return cmd
}

func (a *app) benchCompare(before, after string, o compare.Options, markdown bool) error {
	b, err := a.readReport(before)
	if err != nil {
		return err
	}
	f, err := a.readReport(after)
	if err != nil {
		return err
	}
	c, err := compare.Compare(b, f, o)
	if errors.Is(err, compare.ErrMachines) {
		return &sandbox.Error{Code: sandbox.Conflict, Op: "compare", Err: fmt.Errorf("%w; with --force their ratios to floors are compared", err)}
	}
	if err != nil {
		return err
	}
	switch {
	case markdown:
		err = c.Markdown(a.call.Stdout)
	case a.json:
		err = c.JSON(a.call.Stdout)
	default:
		err = c.Terminal(a.call.Stdout, bool(a.paint(a.call.Stdout)))
	}
	if err == nil && c.Failed() {
		err = cli.Status(worse)
	}
	return err
}

// parsePart reads "10%" or "0.1" as a tenth.
func parsePart(s string) (float64, error) {
	digits, percent := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if err != nil || !(v >= 0) || v > 1e6 {
		return 0, fmt.Errorf("want a part as 10%% or 0.1, have %q", s)
	}
	if percent {
		v /= 100
	}
	return v, nil
}
