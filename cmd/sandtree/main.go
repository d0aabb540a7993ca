// Command sandtree runs sandboxes for agents, each looked after by a supervised runtime: see `sandtree help`.
//
// A subcommand is a file. What they share: app.go holds the configuration and the streams, system.go the runtimes,
// teller.go how events read, json.go how they are written for programs.
//
// Exit statuses are those of internal/cli, by the code of the error (2 invalid, 3 not found, 4 conflict, …). `run` and
// `shell` give the exit code of what they ran; so that nobody takes a failure of ours for one of the command, all of
// ours are 125 there, as with docker. 124 says that the command did not end in time, as with timeout(1).
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sandtree/sandtree/internal/cli"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

var version = "dev" // set by the linker

func main() { os.Exit(cli.Main("sandtree", run, syscall.SIGQUIT)) }

func run(ctx context.Context, c cli.Call) error {
	a := newApp(c, os.Environ())
	defer a.close()
	cmd, err := root(a, c.Args).ExecuteContextC(ctx)
	if _, chosen := errors.AsType[cli.Status](err); err == nil || chosen {
		return err
	}
	if ctx.Err() != nil && sandbox.CodeOf(err) == sandbox.Canceled {
		return err // a signal has ended it, which Main tells
	}
	status := cli.ExitStatus(err)
	if cmd.Annotations[statusPassed] != "" {
		status = ownFailure
	}
	if a.json {
		fmt.Fprintf(c.Stderr, "%s\n", wire.AppendError(nil, err))
	} else {
		fmt.Fprintf(c.Stderr, "sandtree: %v\n", err)
	}
	return cli.Status(status)
}

// ownFailure is the exit status for failures of ours in a command that passes on the status of what it ran.
const ownFailure = 125

// statusPassed marks those commands.
const statusPassed = "status passed"

var passesStatus = map[string]string{statusPassed: "yes"}

// root is the command line as a tree.
func root(a *app, args []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sandtree",
		Short: "Run commands and agents in supervised sandboxes",
		Long: `sandtree runs commands and agents in sandboxes. Each is looked after by a supervised runtime: one that dies,
hangs or loses its connection heals by itself, keeps its id, and never runs an action twice.

Exit status: 0 is well; run and shell give that of what they ran, or 125 if sandtree failed. The other commands: 1 for a
fault of sandtree, 2 for a request that makes no sense, 3 not found, 4 in conflict with the present state or another
process, 5 denied, 6 quota or space exhausted, 7 not reached, 8 lost on the way, 9 not supported by this backend; 128
and the signal's number if a signal ended it.`,
		Example: `  sandtree run 'uname -a'
  sandtree run --trajectory story.json
  sandtree run --keep --id web -- make test
  sandtree shell web
  sandtree events --follow web`,
		SuggestionsMinimumDistance: 2,

		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	if args == nil {
		args = []string{} // nil would be those of the process
	}
	cmd.SetArgs(args)
	cmd.SetIn(a.call.Stdin)
	cmd.SetOut(a.call.Stdout)
	cmd.SetErr(a.call.Stderr)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return misuse(cmd, "%w", plainFlag(err)) })
	a.flags(cmd.PersistentFlags())
	cmd.AddCommand(
		runCommand(a), shellCommand(a), eventsCommand(a), lsCommand(a), rmCommand(a), cpCommand(a), gcCommand(a),
		snapshotCommand(a), snapshotsCommand(a), forkCommand(a), restoreCommand(a), exportCommand(a), importCommand(a),
		configCommand(a), doctorCommand(a), benchCommand(a), versionCommand(a),
	)
	cmd.InitDefaultCompletionCmd(args...)
	for _, c := range cmd.Commands() {
		if c.Name() == "completion" { // of its own it takes an unknown shell for a wish for help
			c.Args = cobra.ArbitraryArgs
			c.RunE = func(cmd *cobra.Command, args []string) error {
				if len(args) == 0 {
					return cmd.Help()
				}
				return misuse(cmd, "there is no completion for %q", args[0])
			}
		}
	}
	return cmd
}

func unknownCommand(cmd *cobra.Command, name string) error {
	hint := "`sandtree help` lists them"
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		hint = fmt.Sprintf("did you mean %q?", near[0])
	}
	return &sandbox.Error{Code: sandbox.Invalid, Op: "command", Err: fmt.Errorf("there is no command %q; %s", name, hint)}
}

// plainFlag says what a flag wants, where pflag tells how Go failed to read it.
func plainFlag(err error) error {
	e, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	want := map[string]string{"int": "a whole number", "int64": "a whole number", "uint64": "a whole number, 0 or more", "bool": "true or false",
		"duration": "a duration such as 30s or 1m30s"}[e.GetFlag().Value.Type()]
	if want == "" {
		return err
	}
	return fmt.Errorf("--%s: want %s, have %q", e.GetFlag().Name, want, e.GetValue())
}

// misuse is the error of a command line that makes no sense.
func misuse(cmd *cobra.Command, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &sandbox.Error{Code: sandbox.Invalid, Op: cmd.Name(), Err: fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())}
}

// wants makes a check of the number of arguments; what says what they are. most < 0 is any number.
func wants(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			return misuse(cmd, "want %s, have %q", what, args)
		}
		return nil
	}
}

// completeIDs offers the runtimes there are, for the completion of a shell.
func (a *app) completeIDs(cmd *cobra.Command, given []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	rows, err := a.runtimes(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var ids []cobra.Completion
	for _, r := range rows {
		if !slices.Contains(given, string(r.ID)) {
			ids = append(ids, cobra.CompletionWithDesc(string(r.ID), r.state()))
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
