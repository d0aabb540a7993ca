package gvisor

import (
	"context"
	"fmt"

	"github.com/sandtree/sandtree/backends/internal/homes"
)

// tier is how well sandboxes are isolated.
const tier = "gvisor"

// Isolation says how well sandboxes are isolated here, and what is missing for the whole of it.
func (d *Driver) Isolation() (string, error) {
	if err := homes.Unbounded(); err != nil {
		return tier, fmt.Errorf("bounded: %w", err)
	}
	return tier, nil
}

// Check makes a sandbox, in which nothing stays, and says whether that could be done. Codes: Invalid (sandboxd is not there),
// Unsupported (the companion is not, or gVisor does not run here), Canceled.
func (d *Driver) Check(ctx context.Context) error {
	b, err := d.binaries()
	if err == nil {
		err = d.config.shown().Present("gvisor")
	}
	if err == nil {
		err = d.try(ctx, b)
	}
	if err != nil {
		return d.homes.Failed("Check", "", err)
	}
	return nil
}

// try makes a sandbox whose first process ends as soon as it runs.
func (d *Driver) try(ctx context.Context, b binaries) error {
	return d.homes.Try(ctx, func(h homes.Home, l *label) error {
		if _, err := d.furnish(h, l); err != nil {
			return err
		}
		s, err := d.spawn(h, l, b)
		if err != nil {
			return err
		}
		defer s.pipes().Close()
		// It writes its version where others write that they are ready.
		if err := s.await(ctx, []string{insideProgram, "--version"}, ""); err != nil {
			return fmt.Errorf("%w%s", err, homes.LastWords(h.LogFile()))
		}
		s.process.Kill()
		return nil
	})
}
