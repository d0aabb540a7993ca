package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sandtree/sandtree/internal/cli"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor"
	"github.com/sandtree/sandtree/transport"
)

func shellCommand(a *app) *cobra.Command {
	var p placement
	cmd := &cobra.Command{
		Use:   "shell [ID]",
		Short: "Open an interactive shell in a runtime",
		Long: `Open an interactive shell in a runtime that was kept, or in a new one, which ends with the shell unless --keep is
given. The shell is apart from the session in which actions run, in the same workspace. The exit status is the shell's,
or 125 if sandtree itself failed.`,
		Example: `  sandtree shell
  sandtree shell web
  sandtree shell --keep --id play --workspace .`,
		Annotations:       passesStatus,
		Args:              wants(0, 1, "one id at most"),
		ValidArgsFunction: a.completeIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			in, ok := terminal(a.call.Stdin)
			if !ok {
				return misuse(cmd, "stdin is no terminal; `sandtree run` takes a script from it")
			}
			if len(args) == 1 {
				if p.id != "" {
					return misuse(cmd, "want ID, which is there, or --id, which is made if it is not")
				}
				p.id = args[0]
				if err := a.exists(cmd.Context(), sandbox.ID(p.id)); err != nil {
					return err
				}
			}
			return a.shell(cmd.Context(), p, in)
		},
	}
	p.flags(cmd.Flags())
	a.shown.flags(cmd.Flags())
	return cmd
}

func (a *app) shell(ctx context.Context, p placement, in int) error {
	a.warn(p)
	rt, err := a.hold(ctx, p, func(c supervisor.StatusChange) {
		if s := trouble(c); s != "" {
			fmt.Fprintf(a.call.Stderr, "\r\nsandtree: %s\r\n", s)
		}
	})
	if err != nil {
		return err
	}
	code, err := a.converse(ctx, rt, in)
	if closed := rt.close(ctx); err == nil {
		err = closed
	}
	if err == nil && code != 0 {
		err = cli.Status(code)
	}
	return err
}

// converse joins our terminal and the runtime's until the shell there ends. in is the descriptor of our terminal, which
// sends every key on, Ctrl-C too.
func (a *app) converse(ctx context.Context, rt *held, in int) (code int, err error) {
	cols, rows := size(in)
	t, err := rt.Terminal(ctx, cols, rows)
	if err != nil {
		return 0, err
	}
	defer t.Close()
	before, err := term.MakeRaw(in)
	if err != nil {
		return 0, &sandbox.Error{Code: sandbox.Unsupported, Op: "shell", Err: err}
	}
	defer term.Restore(in, before)

	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { follow(ctx, t, in) })
	stop := context.AfterFunc(ctx, func() { t.Close() }) // a signal hangs up
	defer stop()
	typed, err := keyboard(in)
	if err != nil {
		return 0, err
	}
	defer typed.Close() // ends the copying
	wg.Go(func() { _, _ = io.Copy(t, typed) })
	if _, err := io.Copy(a.call.Stdout, t); err != nil && ctx.Err() == nil {
		return 0, err
	}
	code, err = t.Wait()
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	return code, err
}

// follow tells t the size of our terminal whenever it changes.
func follow(ctx context.Context, t *transport.Terminal, in int) {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	defer signal.Stop(changed)
	for {
		select {
		case <-changed:
			cols, rows := size(in)
			_ = t.Resize(cols, rows) // if it is lost, reading it says so
		case <-ctx.Done():
			return
		}
	}
}

func size(fd int) (cols, rows uint16) {
	c, r, err := term.GetSize(fd)
	if err != nil || c <= 0 || r <= 0 {
		return 80, 24
	}
	return uint16(c), uint16(r)
}

// keyboard is the terminal opened anew, so that reading it can be given up: a read of stdin itself cannot be.
func keyboard(in int) (*os.File, error) {
	f, err := os.OpenFile(fmt.Sprintf("/dev/fd/%d", in), os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		f, err = os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NONBLOCK, 0)
	}
	if err != nil {
		return nil, &sandbox.Error{Code: sandbox.Unsupported, Op: "shell", Err: err}
	}
	return f, nil
}
