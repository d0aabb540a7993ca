package main

import (
	"context"

	"github.com/sandtree/sandtree/internal/cli"
	"github.com/sandtree/sandtree/internal/stage"
)

// runStage makes the jail that this process is the first of, and goes on in it as its server, with the command line that
// the maker of the jail has sent.
func runStage(ctx context.Context, c cli.Call) error {
	s, err := stage.Receive()
	if err != nil {
		return err
	}
	if err := stage.Enter(s); err != nil {
		return err
	}
	if len(s.Args) == 0 {
		return nil // all that was asked is whether it can be done
	}
	c.Args = s.Args
	return run(ctx, c)
}
