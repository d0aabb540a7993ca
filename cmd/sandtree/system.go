package main

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/standard"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor"
	"github.com/sandtree/sandtree/supervisor/config"
)

// unisolated says what nobody should be surprised by.
const unisolated = "the local backend does not isolate: what runs in it can do whatever you can"

func backendNames() []string { return slices.Sorted(maps.Keys(standard.Drivers())) }

// system opens the runtimes of the state directory. wanted are the backends that must be there; of the others those
// that cannot be opened are left out.
func (a *app) system(ctx context.Context, onStatus func(supervisor.StatusChange), wanted ...string) (*supervisor.System, error) {
	c, err := a.config()
	if err != nil {
		return nil, err
	}
	opened := map[string]backends.Driver{}
	var system atomic.Pointer[supervisor.System] // which is opened after its drivers
	connected := func(id sandbox.ID, c sandbox.Connection) {
		if s := system.Load(); s != nil {
			s.RecordConnection(id, c)
		}
	}
	audited := func(id sandbox.ID, records []sandbox.AuditRecord) error {
		if s := system.Load(); s != nil {
			return s.RecordAudit(id, records)
		}
		return &sandbox.Error{Code: sandbox.Unavailable, Op: "audit", ID: id, Err: errors.New("the runtimes are being opened")}
	}
	for name, open := range standard.Drivers() {
		d, err := open(backends.Options{StateDir: c.StateDir, Environ: a.env, Values: c.Backends[name], OnConnection: connected, OnAudit: audited, Log: a.log()})
		switch {
		case err == nil:
			opened[name] = d
		case name == c.Backend || slices.Contains(wanted, name):
			return nil, err
		default:
			a.log().Info("a backend cannot be opened", "backend", name, "err", err)
		}
	}
	s, err := supervisor.Open(ctx, systemConfig(c, opened, onStatus, a))
	system.Store(s)
	return s, err
}

func systemConfig(c *config.Loaded, drivers map[string]backends.Driver, onStatus func(supervisor.StatusChange), a *app) supervisor.Config {
	var pool supervisor.Pool
	if onStatus != nil { // else the command only looks
		pool = supervisor.Pool{Least: c.Pool.Least, Most: c.Pool.Most}
	}
	return supervisor.Config{
		StateDir: c.StateDir, Drivers: drivers, Default: c.Backend,
		Sync: c.JournalConfig().Sync, LeaseTTL: c.Lease.TTL, Queue: c.Queue,
		Restart: supervisor.Restart{
			Intensity: cmp.Or(c.Restart.Intensity, -1), Window: c.Restart.Window, // where 0 is the default, and -1 none
			Base: cmp.Or(c.Restart.Base, -1), Cap: c.Restart.Cap,
		},
		Janitor:    supervisor.Janitor{Grace: c.Janitor.Grace, Interval: cmp.Or(c.Janitor.Interval, -1)},
		Idle:       supervisor.Idle(c.Idle),
		Pool:       pool,
		Overcommit: c.Admission.Overcommit, ActionTimeout: c.Action.Timeout, OnStatus: onStatus, Tracer: a.shown.traces.Tracer(), Log: a.log(),
	}
}

// cleanup bounds what is done after the command's own context has ended, as by a signal.
const cleanup = 20 * time.Second

// held is a runtime that a command drives.
type held struct {
	*supervisor.Runtime
	app    *app
	system *supervisor.System
	id     sandbox.ID
	end    bool // with the command
}

// hold opens the runtime that p asks for: a new one, or one that was kept.
func (a *app) hold(ctx context.Context, p placement, onStatus func(supervisor.StatusChange)) (*held, error) {
	spec, err := a.spec(p)
	if err != nil {
		return nil, err
	}
	if err := a.openTraces(); err != nil {
		return nil, err
	}
	system, err := a.system(ctx, onStatus, p.backend)
	if err != nil {
		a.closeTraces(ctx)
		return nil, err
	}
	h := &held{app: a, system: system, id: spec.ID, end: !p.keep}
	if err = a.show(system); err == nil {
		err = h.open(ctx, p, spec)
	} else {
		h.end = false // there is none yet
	}
	if err != nil {
		if sandbox.CodeOf(err) == sandbox.Conflict {
			h.end = false // it is another's
		}
		return nil, errors.Join(err, h.close(ctx))
	}
	return h, nil
}

func (h *held) open(ctx context.Context, p placement, spec sandbox.Spec) error {
	there, lives, err := h.find(ctx, p)
	if err != nil {
		return err
	}
	added := spec.Setup.Env
	if lives { // somebody will want it after this command too, and its set-up is done
		h.end = false
		if err := unchanged(p, spec, there); err != nil {
			return err
		}
		spec.Setup.Env = nil
	}
	rt, err := h.system.OpenRuntime(ctx, p.backend, spec)
	if err != nil {
		return err
	}
	h.Runtime = rt
	if lives {
		return rt.AddEnv(ctx, added)
	}
	return nil
}

// find looks for a living runtime of the id that was asked for.
func (h *held) find(ctx context.Context, p placement) (there supervisor.Listed, lives bool, err error) {
	if p.id == "" {
		return there, false, nil
	}
	list, err := h.system.List(ctx)
	i := slices.IndexFunc(list, func(l supervisor.Listed) bool { return l.ID == h.id && l.Alive })
	if i < 0 {
		return there, false, err
	}
	return list[i], true, nil
}

// unchanged refuses what can only be said of a new runtime.
func unchanged(p placement, spec sandbox.Spec, l supervisor.Listed) error {
	what := ""
	switch {
	case p.workspace != "" && spec.Workspace != l.Workspace:
		what = "has another workspace"
	case p.repo != "" || p.branch != "":
		what = "has been set up already, so nothing is cloned"
	default:
		return nil
	}
	return &sandbox.Error{Code: sandbox.Conflict, Op: "runtime", ID: l.ID, Err: errors.New("it is there and " + what + "; take another --id, or end it with `sandtree rm`")}
}

// close ends the runtime, or lets go of it, and leaves nothing of ours behind, also when ctx has ended.
func (h *held) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	var err error
	if h.end {
		err = h.kill(ctx)
	}
	defer h.app.closeTraces(ctx)
	if hidden := h.app.hide(ctx); err == nil {
		err = hidden
	}
	if closed := h.system.Close(ctx); err == nil {
		err = closed
	}
	return err
}

func (h *held) kill(ctx context.Context) error {
	rt := h.Runtime
	if rt == nil { // it failed to open, and may have a sandbox nevertheless
		var err error
		if rt, err = h.system.Find(ctx, h.id); err != nil {
			return nil
		}
	}
	if err := rt.Kill(ctx); sandbox.CodeOf(err) != sandbox.Unavailable {
		return err
	}
	return nil // it has ended before
}
