package target

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor"
)

// Config says which backend is measured. Backend and Driver are needed.
type Config struct {
	Backend string
	Driver  backends.OpenFunc
	Values  map[string]any // the driver's part of a configuration
	Environ []string       // KEY=VALUE: this program's environment
	// StateDir is where the journal and the sandboxes are; "" makes a temporary directory, which ends with the target.
	StateDir string
	Limits   sandbox.Limits // of each sandbox
	Log      *slog.Logger   // nil discards
}

// An Order is what another process needs to be the controller of a target's runtimes, as JSON.
type Order struct {
	Backend  string         `json:"backend"`
	StateDir string         `json:"state_dir"`
	Values   map[string]any `json:"values,omitempty"`
	Limits   sandbox.Limits `json:"limits"`
}

// System is one of our backends, driven by a supervisor.System as an embedder would.
type System struct {
	config  Config
	variant Variant
	system  *supervisor.System
	cuts    *cuts           // of a Cuttable variant, else nil
	driver  backends.Driver // which the system owns
	own     bool            // the state directory ends with it
	lock    *os.File        // of one that is its own; nil if whoever closes it has the lock

	mu      sync.Mutex
	closed  bool
	states  map[sandbox.ID]*history
	servers map[sandbox.ID]reap.Proc
}

// Open opens the system of a backend. Codes: those of the driver and of supervisor.Open.
func Open(ctx context.Context, c Config) (*System, error) {
	if c.StateDir == "" {
		clearStale(ctx, c)
	}
	return open(ctx, c, Variant{})
}

func open(ctx context.Context, c Config, v Variant) (_ *System, err error) {
	s := &System{config: c, variant: v, states: map[sandbox.ID]*history{}, servers: map[sandbox.ID]reap.Proc{}}
	if c.StateDir == "" {
		if s.config.StateDir, s.lock, err = makeOwn(c); err != nil {
			return nil, err
		}
		s.own = true
		defer func() {
			if err != nil {
				err = errors.Join(err, os.RemoveAll(s.config.StateDir), s.lock.Close())
			}
		}()
	}
	driver, err := c.Driver(backends.Options{StateDir: s.config.StateDir, Environ: c.Environ, Values: c.Values, Log: c.Log})
	if err != nil {
		return nil, err
	}
	if checker, ok := driver.(backends.Checker); ok {
		if err := checker.Check(ctx); err != nil {
			return nil, errors.Join(err, closeDriver(driver))
		}
	}
	s.driver = driver
	if v.Cuttable {
		if driver, s.cuts, err = cutting(driver); err != nil {
			return nil, err
		}
	}
	s.system, err = supervisor.Open(ctx, supervisor.Config{
		StateDir: s.config.StateDir, Drivers: map[string]backends.Driver{c.Backend: driver}, Queue: v.Queue,
		Pool:       supervisor.Pool{Least: v.Pool, Most: v.Pool},
		Overcommit: -1, // how many fit is what is measured
		OnStatus:   s.changed, Log: c.Log,
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func closeDriver(d backends.Driver) error {
	if c, ok := d.(interface{ Close() error }); ok {
		return c.Close()
	}
	return nil
}

// About says which backend it is.
func (s *System) About() About {
	settings := map[string]string{}
	for name, v := range s.config.Values {
		if text := fmt.Sprint(v); len(text) < 200 && name != "auth" && name != "env" {
			settings[name] = text
		}
	}
	return About{Name: s.config.Backend, Kind: "backend", Settings: settings}
}

// Order is what another controller needs.
func (s *System) Order() Order {
	return Order{Backend: s.config.Backend, StateDir: s.config.StateDir, Values: s.config.Values, Limits: s.config.Limits}
}

// Vary opens another system of the same backend with a state directory of its own.
func (s *System) Vary(ctx context.Context, v Variant) (Target, error) {
	c := s.config
	c.StateDir = ""
	if v.Pool > 0 && len(s.system.Pools()) == 0 && !s.warms(ctx) {
		return nil, unsupported("pool", "the "+c.Backend+" backend starts no sandbox before it is known for whom")
	}
	return open(ctx, c, v)
}

// warms says whether the backend's driver can start before it is known for whom.
func (s *System) warms(context.Context) bool {
	d, err := s.config.Driver(backends.Options{StateDir: s.config.StateDir, Environ: s.config.Environ, Values: s.config.Values})
	if err != nil {
		return false
	}
	_, ok := d.(backends.Warmer)
	closeDriver(d)
	return ok
}

// Filled waits until the pool holds what it shall.
func (s *System) Filled(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Millisecond) // nothing tells of it; a claim takes longer than this
	defer tick.Stop()
	for {
		warm, wanted := 0, 0
		for _, stock := range s.system.Pools() {
			warm, wanted = warm+stock.Warm, wanted+stock.Wanted
		}
		if wanted > 0 && warm >= wanted {
			return nil
		}
		select {
		case <-ctx.Done():
			return &sandbox.Error{Code: sandbox.Canceled, Op: "pool", Err: fmt.Errorf("%d of %d are warm: %w", warm, max(wanted, s.variant.Pool), ctx.Err())}
		case <-tick.C:
		}
	}
}

// Start opens a runtime.
func (s *System) Start(ctx context.Context, w Wish) (Runtime, error) {
	spec := sandbox.Spec{ID: sandbox.NewID(), Limits: s.config.Limits, From: w.From,
		Idle: sandbox.Idle{PauseAfter: w.PauseAfter, StopAfter: w.StopAfter}}
	return s.open(ctx, spec)
}

func (s *System) open(ctx context.Context, spec sandbox.Spec) (Runtime, error) {
	h := s.watch(spec.ID)
	rt, err := s.system.OpenRuntime(ctx, s.config.Backend, spec)
	if err != nil {
		s.forget(spec.ID)
		return nil, err
	}
	return &runtime{Runtime: rt, target: s, spec: spec, history: h}, nil
}

// Find attaches to a runtime that was left, by this controller or another.
func (s *System) Find(ctx context.Context, id string) (Runtime, error) {
	return s.open(ctx, sandbox.Spec{ID: sandbox.ID(id), Limits: s.config.Limits})
}

// Restore gives a runtime the files of a snapshot.
func (s *System) Restore(ctx context.Context, rt Runtime, snapshot string) (Runtime, error) {
	spec := sandbox.Spec{ID: sandbox.ID(rt.ID()), Limits: s.config.Limits}
	h := s.watch(spec.ID)
	restored, err := s.system.Restore(ctx, snapshot, spec)
	if err != nil {
		s.forget(spec.ID)
		return nil, err
	}
	return &runtime{Runtime: restored, target: s, spec: spec, history: h}, nil
}

// ending bounds what it takes to end one runtime, on a machine that is full of them.
const ending = time.Minute

// Close ends all runtimes, with their snapshots, and removes a state directory that is its own, unless something could not be ended.
func (s *System) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	err := s.clear(ctx)
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), ending)
	defer cancel()
	err = errors.Join(err, s.system.Close(within))
	switch {
	case !s.own:
		return err
	case err != nil:
		if s.lock != nil {
			s.lock.Close() // the next one tries again
		}
		return fmt.Errorf("%w; what is left is in %s: see `sandtree gc --state-dir`", err, s.config.StateDir)
	}
	err = os.RemoveAll(s.config.StateDir)
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// clear ends the runtimes, several at a time.
func (s *System) clear(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	list, err := s.system.List(ctx)
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8) // more only stand in each other's way
	for _, l := range list {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			within, cancel := context.WithTimeout(ctx, ending)
			defer cancel()
			if failed := s.system.Remove(within, l.ID); failed != nil && sandbox.CodeOf(failed) != sandbox.NotFound {
				mu.Lock()
				defer mu.Unlock()
				err = errors.Join(err, failed)
			}
		})
	}
	wg.Wait()
	snapshots, failed := s.system.Snapshots(ctx)
	for _, shot := range snapshots {
		failed = errors.Join(failed, s.system.RemoveSnapshot(ctx, shot.Name))
	}
	return errors.Join(err, failed)
}
