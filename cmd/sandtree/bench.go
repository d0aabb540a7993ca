package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sandtree/sandtree/backends/standard"
	"github.com/sandtree/sandtree/bench"
	benchreport "github.com/sandtree/sandtree/bench/report"
	"github.com/sandtree/sandtree/bench/result"
	"github.com/sandtree/sandtree/internal/cli"
	"github.com/sandtree/sandtree/sandbox"
)

// benchFlags are those of bench.
type benchFlags struct {
	sets      []string // at most one name of a set; the rest is configuration, as with every command
	scenarios []string
	out       string
	list      bool
	runtimes  int
	rounds    int
	target    targetFlags
}

func benchCommand(a *app) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a backend, or another system, and say how it stands to the bare machine",
		Long: `Measure how fast runtimes start, what a command takes, how many there can be, how they recover and what they do when
too much is asked; beside it, in the same run, what the bare machine needs for the same work, so that each figure is also a
ratio that means the same elsewhere. Without flags, the set "quick" on the backend of the configuration, in two to three
minutes. The runtimes that it needs are its own, in a temporary state directory, and end with it.

What is measured is a backend of ours, as a program that embeds sandtree would use it; or with --target another system:
"exec", a process of its own for each command; "docker", docker exec in a --container; "openhands", a server that speaks the OpenHands
action protocol at a --url (its key in SESSION_API_KEY); "command", a --command line in which {command} is replaced, as
in 'ssh host {command}'. What a system cannot do is shown as such.

The report is a table here and, with --out, files in a directory: report.json with every sample, report.html, report.md.
docs/bench.md says how to read them, and how scenarios are written.

Exit status: 0 if all thresholds held, 1 if one did not or a scenario failed; 2 and above as for every command; 130 after
Ctrl-C, which ends what was started and writes what there is.`,
		Example: `  sandtree bench
  sandtree bench --backend jail --out jail/
  sandtree bench --list --set full
  sandtree bench --scenario true --scenario start-cold
  sandtree bench --set soak --rounds 240
  sandtree bench --set mine.toml --json | jq '.scenarios[].verdicts'
  sandtree bench compare before/ after/
  sandtree bench --target docker --container web
  sandtree bench --target command --command 'ssh host {command}'
  sandtree bench --target openhands --url http://localhost:3000`,
		Args: wants(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("runtimes") && f.runtimes < 1 {
				return misuse(cmd, "--runtimes: want at least 1, have %d", f.runtimes)
			}
			return a.bench(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.sets, "set", nil, "`name` of a set of scenarios ("+strings.Join(bench.Sets(), ", ")+"; default quick), or a file that ends in .toml; "+
		"or a key=value of the configuration")
	flags.StringArrayVar(&f.scenarios, "scenario", nil, "play only the one of this `name`; may be repeated")
	flags.StringVar(&f.out, "out", "", "write report.json, report.html and report.md into this `directory`")
	flags.BoolVar(&f.list, "list", false, "list the scenarios of the set, and play none")
	flags.IntVar(&f.runtimes, "runtimes", 0, "how many `runtimes` at the same time, in scenarios of several")
	flags.IntVar(&f.rounds, "rounds", 0, "play each scenario in so many `rounds`; more may take more time than its limit; a round of the set soak is one minute")
	f.target.flags(flags)
	f.target.completes(cmd)
	_ = cmd.RegisterFlagCompletionFunc("set", cobra.FixedCompletions(bench.Sets(), cobra.ShellCompDirectiveDefault)) // or a file
	_ = cmd.RegisterFlagCompletionFunc("scenario", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return scenarioNames(f.sets), cobra.ShellCompDirectiveNoFileComp
	})
	cmd.AddCommand(benchReportCommand(a), benchCompareCommand(a), benchPartCommand(a))
	return cmd
}

// benchPartCommand is what bench starts of itself, for what must be another process. Nobody else has a use for it.
func benchPartCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "part", Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return bench.Part(cmd.Context(), args, os.Stdin, os.Stdout, a.env, standard.Drivers())
		},
	}
}

func (a *app) bench(ctx context.Context, f benchFlags) error {
	name, err := a.setName(f.sets)
	if err != nil {
		return err
	}
	set, err := bench.Load(name)
	if err != nil {
		return err
	}
	if set, err = set.Only(f.scenarios); err != nil {
		return err
	}
	if _, err := a.config(); err != nil { // also where another system is measured: what was said by --set is not ignored
		return err
	}
	if f.list {
		return a.listScenarios(set)
	}
	if err := canWrite(f.out); err != nil {
		return err
	}
	t, err := a.target(ctx, f.target)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	live := a.benchLive(t.About())
	report, err := bench.Run(ctx, bench.Config{
		Set: set, Target: t, Program: []string{program, "bench", "part"}, Version: version,
		Runtimes: f.runtimes, Rounds: f.rounds, Listener: live,
	})
	err = errors.Join(err, t.Close(context.WithoutCancel(ctx)))
	live.end()
	if len(report.Scenarios) > 0 {
		if sandbox.CodeOf(err) == sandbox.Canceled {
			fmt.Fprintln(a.call.Stderr, "sandtree: it was interrupted; what was measured until then is in the report")
		}
		err = errors.Join(err, a.tellBench(report, f.out))
	}
	if err == nil && !good(report) {
		err = cli.Status(1)
	}
	return err
}

// canWrite makes the directory of --out and tries to write into it, before minutes are spent.
func canWrite(dir string) error {
	if dir == "" {
		return nil
	}
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(dir, ".sandtree-*"); err == nil {
			err = errors.Join(f.Close(), os.Remove(f.Name()))
		}
	}
	if err != nil {
		return &sandbox.Error{Code: sandbox.Invalid, Op: "--out", Err: err}
	}
	return nil
}

// setName is the one of --set that names a set. The others are configuration.
func (a *app) setName(given []string) (string, error) {
	name := ""
	for _, s := range given {
		switch {
		case s == "":
			return "", &sandbox.Error{Code: sandbox.Invalid, Op: "--set", Err: errors.New("want the name of a set, a file that ends in .toml, or key=value")}
		case strings.Contains(s, "="):
			a.set = append(a.set, s)
		case name != "":
			return "", &sandbox.Error{Code: sandbox.Invalid, Op: "--set", Err: fmt.Errorf("want one set of scenarios, have %s and %s", name, s)}
		default:
			name = s
		}
	}
	return cmp.Or(name, "quick"), nil
}

// scenarioNames are those of the set that is named, for the shell to complete; of one that cannot be read there are none.
func scenarioNames(sets []string) (names []string) {
	name := "quick"
	for _, s := range sets { // which cobra reads twice when it completes
		if !strings.Contains(s, "=") {
			name = s
		}
	}
	set, _ := bench.Load(name)
	for _, s := range set.Scenarios {
		names = append(names, s.Name)
	}
	return names
}

// good says whether all went well and all thresholds held.
func good(r result.Report) bool {
	return !slices.ContainsFunc(r.Scenarios, func(s result.Scenario) bool {
		return s.Failed != "" || slices.ContainsFunc(s.Verdicts, func(v result.Verdict) bool { return !v.Held })
	})
}

// tellBench writes a report where it was asked for. Where files cannot be written, as on a full disk, the rest is shown all the same:
// it took minutes to find.
func (a *app) tellBench(r result.Report, dir string) (err error) {
	if dir != "" {
		if err = writeFiles(r, dir); err == nil {
			fmt.Fprintf(a.call.Stderr, "sandtree: the report is in %s\n", dir)
		}
	}
	if a.json {
		return errors.Join(err, writeJSON(a.call.Stdout, r))
	}
	return errors.Join(err, benchreport.Terminal(a.call.Stdout, &r, bool(a.paint(a.call.Stdout))))
}

// writeFiles writes the forms that a report has as a file, each whole or not at all: what an earlier run has left stays until then.
func writeFiles(r result.Report, dir string) (err error) {
	for _, name := range slices.Sorted(maps.Keys(reportFiles)) {
		write := reportFiles[name]
		err = errors.Join(err, writeWhole(filepath.Join(dir, name), func(w io.Writer) error { return write(w, r) }))
	}
	return err
}

// reportFiles are the files of a report.
var reportFiles = map[string]func(io.Writer, result.Report) error{
	"report.json": func(w io.Writer, r result.Report) error {
		e := json.NewEncoder(w)
		e.SetIndent("", " ")
		return e.Encode(r)
	},
	"report.html": func(w io.Writer, r result.Report) error { return benchreport.HTML(w, &r) },
	"report.md":   func(w io.Writer, r result.Report) error { return benchreport.Markdown(w, &r) },
}

func (a *app) listScenarios(set bench.Set) error {
	if a.json {
		return writeJSON(a.call.Stdout, set.Scenarios)
	}
	t := newTable(a.call.Stdout)
	for _, s := range set.Scenarios {
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.Name, s.Kind, cmp.Or(s.Title, s.Name))
	}
	return t.Flush()
}
