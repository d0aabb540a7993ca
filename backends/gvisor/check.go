package gvisor

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// tier is how well sandboxes are isolated.
const tier = "gvisor"

// Isolation says how well sandboxes are isolated here, and what is missing for the whole of it.
func (d *Driver) Isolation() (string, error) {
	for _, c := range []string{cgroup.PIDs, cgroup.Memory, cgroup.CPU, cgroup.Freezer} {
		if !d.tree().Has(c) {
			return tier, fmt.Errorf("bounded: there are no control groups for %s that this process could make: mount /sys/fs/cgroup for writing", c)
		}
	}
	return tier, nil
}

// Check makes a sandbox, in which nothing stays, and says whether that could be done. Codes: Invalid (sandboxd is not there),
// Unsupported (the companion is not, or gVisor does not run here), Canceled.
func (d *Driver) Check(ctx context.Context) error {
	b, err := d.binaries()
	if err == nil {
		err = d.try(ctx, b)
	}
	if err != nil {
		return failed("gvisor.Check", "", err)
	}
	return nil
}

// tryPrefix begins the name of a home in which gVisor is only tried, locked meanwhile; no id begins with a dot.
const tryPrefix = ".try-"

// try makes a sandbox whose first process ends as soon as it runs.
func (d *Driver) try(ctx context.Context, b binaries) (err error) {
	dir := filepath.Join(d.root, tryPrefix+sandbox.RandomHex(8))
	h := home(dir)
	unlock, err := d.lock(ctx, h, true) // should this process end before, the next one removes it
	if err != nil {
		return err
	}
	defer unlock()
	l := label{ID: sandbox.ID(filepath.Base(dir)), Mark: "try." + sandbox.RandomHex(8), Workspace: h.ownWork()}
	defer func() {
		cleanup := context.WithoutCancel(ctx)
		err = errors.Join(err, d.ungroup(cleanup, l), d.disclaim(l), held.RemoveTree(dir))
	}()
	if err := d.claim(&l); err != nil {
		return err
	}
	if _, err := d.furnish(h, l); err != nil {
		return err
	}
	s, err := d.spawn(h, l, b)
	if err != nil {
		return err
	}
	defer s.close()
	// It writes its version where others write that they are ready.
	if err := s.await(ctx, []string{insideProgram, "--version"}, ""); err != nil {
		return fmt.Errorf("%w%s", err, lastWords(h.logFile()))
	}
	s.process.Kill()
	return nil
}
