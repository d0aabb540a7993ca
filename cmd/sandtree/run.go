package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"mvdan.cc/sh/v3/syntax"

	"github.com/sandtree/sandtree/internal/cli"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// runFlags are those of run besides the placement.
type runFlags struct {
	placement
	timeout    time.Duration
	trajectory string
	export     string
	strict     bool
}

func runCommand(a *app) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] [--] COMMAND [ARG...]",
		Short: "Run a command, a script or a recorded trajectory in a runtime",
		Long: `Run a command in a runtime, with its output as it is produced. A single argument is a line for the shell; several
are a program and its arguments, passed on as they are. Without any, the script is read from stdin. With --trajectory
the actions of an OpenHands trajectory are performed one after another.

A runtime that this command makes ends with it, and everything in it, unless --keep is given; one that was there stays.
Ctrl-C interrupts what runs; a second one quits. What is typed does not reach the command: for one that asks there is
` + "`sandtree shell`" + `.

The exit status is that of the command; 124 if it did not end within --timeout; 125 if sandtree itself failed. With
--trajectory it is 0 if all actions were performed, whatever their own exit codes; 1 if one could not be, or with
--strict if one failed.`,
		Example: `  sandtree run 'for i in 1 2 3; do echo $i; sleep 1; done'
  sandtree run --workspace . -- make test
  sandtree run --keep --id web 'python3 -m http.server &'
  sandtree run --id web -- curl -s localhost:8000
  sandtree run < script.sh
  sandtree run --trajectory story.json --export replayed.json`,
		Annotations: passesStatus,
		Args:        cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // else it ends us before we have cleaned up
			if f.timeout < 0 {
				return misuse(cmd, "--timeout: want 0 or more, have %v", f.timeout)
			}
			if f.trajectory != "" {
				if len(args) > 0 {
					return misuse(cmd, "want a command or --trajectory, have both")
				}
				return a.runTrajectory(cmd.Context(), f)
			}
			if f.export != "" || f.strict {
				return misuse(cmd, "--export and --strict belong to --trajectory")
			}
			text, err := a.command(cmd, args)
			if err != nil {
				return err
			}
			return a.runText(cmd.Context(), f, text)
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false) // what follows the command is the command's
	f.flags(flags)
	a.shown.flags(flags)
	flags.DurationVar(&f.timeout, "timeout", 0, "give up waiting for a command after this `duration`; 0 is action.timeout of the configuration, or never (for --trajectory: or 10m)")
	flags.StringVar(&f.trajectory, "trajectory", "", "perform the actions of this `file`; - is stdin")
	flags.StringVar(&f.export, "export", "", "write what --trajectory did as a trajectory to this `file`")
	flags.BoolVar(&f.strict, "strict", false, "end --trajectory with the first action that fails")
	return cmd
}

// maxScript bounds a script from stdin: what a shell takes in one piece.
const maxScript = 64 << 20

// command is what the shell is to run.
func (a *app) command(cmd *cobra.Command, args []string) (string, error) {
	switch {
	case len(args) == 1 && args[0] != "-":
		return args[0], nil
	case len(args) > 1:
		words := make([]string, len(args))
		for i, w := range args {
			q, err := syntax.Quote(w, syntax.LangBash)
			if err != nil {
				return "", misuse(cmd, "argument %d: %w", i+1, err)
			}
			words[i] = q
		}
		return strings.Join(words, " "), nil
	}
	if _, ok := terminal(a.call.Stdin); ok && len(args) == 0 {
		return "", misuse(cmd, "want a command, or a script on stdin")
	}
	script, err := io.ReadAll(io.LimitReader(a.call.Stdin, maxScript+1))
	if err == nil && len(script) > maxScript {
		err = misuse(cmd, "want a script of at most %d bytes", maxScript)
	}
	if err == nil && strings.TrimSpace(string(script)) == "" {
		err = misuse(cmd, "the script on stdin is empty")
	}
	return string(script), err
}

// runText runs one command. Its timeout is not that of an agent's action: who waits at a terminal can stop waiting.
func (a *app) runText(ctx context.Context, f runFlags, text string) error {
	c, err := a.config()
	if err != nil {
		return err
	}
	if c.Action.Timeout == 0 {
		c.Action.Timeout = -1
	}
	action := sandbox.Action{Timeout: f.timeout, Args: sandbox.RunArgs{Command: text, Blocking: true}}
	p := &player{}
	if p.tell = newTerse(a); a.json {
		p.tell = &jsonTeller{w: a.call.Stdout}
	}
	return a.withRuntime(ctx, f.placement, p, func(ctx context.Context) error {
		o, err := p.perform(ctx, wire.ActionEvent(action), action)
		if err != nil {
			return err
		}
		p.sum.ExitCode = status(o)
		return nil
	})
}

// status is the exit status that tells of an observation.
func status(o sandbox.Observation) int {
	r, ok := o.Result.(sandbox.RunResult)
	switch {
	case !ok:
		return ownFailure
	case r.Metadata.ExitCode < 0:
		return 124
	}
	return r.Metadata.ExitCode
}

func (a *app) runTrajectory(ctx context.Context, f runFlags) error {
	if err := exportable(f.export); err != nil {
		return err
	}
	events, err := a.readTrajectory(f.trajectory)
	if err != nil {
		return err
	}
	if f.timeout > 0 {
		c, err := a.config()
		if err != nil {
			return err
		}
		c.Action.Timeout = f.timeout
	}
	p := &player{strict: f.strict}
	if p.tell = newStory(a); a.json {
		p.tell = &jsonTeller{w: a.call.Stdout}
	}
	return a.withRuntime(ctx, f.placement, p, func(ctx context.Context) error {
		after, err := a.lastEvent(ctx, p.rt.id, f.export != "")
		if err != nil {
			return err
		}
		if f.export != "" {
			p.closed = func() error { return a.export(context.WithoutCancel(ctx), p.rt.id, after, f.export) }
		}
		return p.play(ctx, events)
	})
}

func (a *app) readTrajectory(path string) ([]wire.Event, error) {
	in := a.call.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "--trajectory", Err: err}
		}
		defer f.Close()
		in = f
	}
	return wire.ReadTrajectory(in)
}

// withRuntime runs f with the runtime that pl asks for, and ends or keeps that. The error is a cli.Status where there is
// nothing more to say.
func (a *app) withRuntime(ctx context.Context, pl placement, p *player, f func(context.Context) error) error {
	a.warn(pl)
	rt, err := a.hold(ctx, pl, p.status)
	if err != nil {
		return err
	}
	p.rt, p.interrupts = rt, a.call.Interrupts() // until here an interrupt has ended the waiting
	err = f(ctx)
	if closed := rt.close(ctx); err == nil {
		err = closed
	}
	if p.closed != nil {
		err = errors.Join(err, p.closed())
	}
	p.sum.Runtime, p.sum.Kept, p.sum.Restarts = rt.id, !rt.end, int(p.restarts.Load())
	if chosen, ok := errors.AsType[cli.Status](err); ok {
		p.sum.ExitCode = int(chosen)
	} else if err != nil {
		p.sum.ExitCode = ownFailure
	}
	if told := p.tell.end(p.sum); err == nil && told != nil {
		err = errPipe
	}
	if err == nil && p.sum.ExitCode != 0 {
		err = cli.Status(p.sum.ExitCode)
	}
	return err
}

// warn says, to a person, what nobody should be surprised by.
func (a *app) warn(p placement) {
	c, err := a.config()
	if _, ok := terminal(a.call.Stderr); !ok || err != nil || a.json {
		return
	}
	if p.backend == "local" || p.backend == "" && c.Backend == "local" {
		fmt.Fprintln(a.call.Stderr, a.paint(a.call.Stderr).dim("sandtree: "+unisolated))
	}
}
