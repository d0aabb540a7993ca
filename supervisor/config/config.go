// Package config reads how sandtree is to work: defaults, over them a file (TOML or YAML), over that environment
// variables named SANDTREE_…, over those command line flags.
//
// Each value keeps where it came from. A key that nobody knows is an error that names the closest one that somebody
// does, in a file and in the environment alike, because a limit that is misspelled is a limit that does not hold.
// The package asks nothing of the system but the file: environment, directories and flags are arguments.
package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/sandbox"
)

// Config is how sandtree works. In a file, durations are texts such as "3s" or "1m30s", and sizes are numbers or texts
// such as "2 GB" or "512 MiB".
type Config struct {
	// StateDir holds the journal and what backends keep; processes with the same one see the same runtimes.
	// The default is /var/lib/sandtree for root, else $XDG_STATE_HOME/sandtree, else ~/.local/state/sandtree.
	StateDir string `koanf:"state_dir" kind:"path"`
	// Backend places runtimes for which no other is asked; default "local".
	Backend string `koanf:"backend"`
	// OrphanAfter is how long a sandbox outlives its last controller; 0 means 10 minutes, negative for ever.
	OrphanAfter time.Duration `koanf:"orphan_after"`
	// Queue is how many actions may wait at one runtime; one more is Exhausted. Default 1024, at least 1.
	Queue int `koanf:"queue"`

	Journal   Journal   `koanf:"journal"`
	Lease     Lease     `koanf:"lease"`
	Restart   Restart   `koanf:"restart"`
	Action    Action    `koanf:"action"`
	Limits    Limits    `koanf:"limits"`
	Egress    Egress    `koanf:"egress"`
	Audit     Audit     `koanf:"audit"`
	Admission Admission `koanf:"admission"`
	Janitor   Janitor   `koanf:"janitor"`
	Idle      Idle      `koanf:"idle"`
	Pool      Pool      `koanf:"pool"`
	Git       Git       `koanf:"git"`
	Log       Log       `koanf:"log"`
	Metrics   Metrics   `koanf:"metrics"`
	Traces    Traces    `koanf:"traces"`

	// Env is given to every process in every runtime; values are secret.
	Env map[string]string `koanf:"env" secret:"true"`
	// Backends holds the options of each driver by its name, as in [backends.local].
	Backends map[string]map[string]any `koanf:"backends"`
}

// Journal is the part [journal].
type Journal struct {
	// Sync is what an acknowledged event survives: "process" (the default) SIGKILL of any process; "full" also loss of
	// power, at the price of an fsync each.
	Sync string `koanf:"sync"`
}

// Lease is the part [lease].
type Lease struct {
	// TTL is how long a controller that has stopped renewing keeps others from its runtimes; default 3s, at least 100ms.
	TTL time.Duration `koanf:"ttl"`
}

// Restart is the part [restart]: what becomes of a runtime that fails.
type Restart struct {
	// Intensity is how many restarts in Window are tried before the runtime is given up; default 5, 0 tries none.
	Intensity int `koanf:"intensity"`
	// Window is the time in which restarts are counted; default 1m.
	Window time.Duration `koanf:"window"`
	// Base is the pause before the first restart, doubled for each one more; default 200ms, 0 does not pause.
	Base time.Duration `koanf:"base"`
	// Cap is the longest pause; default 30s, not below Base.
	Cap time.Duration `koanf:"cap"`
}

// Action is the part [action].
type Action struct {
	// Timeout is that of an action which brings none; 0 means 10 minutes, negative none.
	Timeout time.Duration `koanf:"timeout"`
}

// Limits is the part [limits]: what one runtime may use. 0 is the default where the backend can enforce it; a limit that
// is named is enforced, or the runtime is refused; negative means no limit.
type Limits struct {
	CPU         float64  `koanf:"cpu"`         // cores
	CPUShares   int      `koanf:"cpu_shares"`  // weight where CPU time is short; the kernel's own is 1024
	Affinity    string   `koanf:"affinity"`    // CPUs to run on, as in "0-3,7"
	Memory      Quantity `koanf:"memory"`      // bytes
	Swap        Quantity `koanf:"swap"`        // bytes besides the memory
	Swappiness  int      `koanf:"swappiness"`  // 1 to 100
	Disk        Quantity `koanf:"disk"`        // bytes
	Files       Quantity `koanf:"files"`       // and directories
	DiskRead    Quantity `koanf:"disk_read"`   // bytes/s
	DiskWrite   Quantity `koanf:"disk_write"`  // bytes/s
	Network     Quantity `koanf:"network"`     // bit/s, each way
	Connections int      `koanf:"connections"` // at a time
	Ports       string   `koanf:"ports"`       // that may be connected to, as in "80,443,8000-8999"
	Processes   int      `koanf:"processes"`   // and threads
}

// Egress is the part [egress]: what a runtime may connect to. In an environment variable a list has commas.
type Egress struct {
	// Mode is "allow-all", "deny-all" or "allow-list"; "" is the first where the backend can enforce it.
	Mode    string   `koanf:"mode"`
	Domains []string `koanf:"domains"` // names, for "allow-list": "example.com", "*.example.com"
	CIDRs   []string `koanf:"cidrs"`   // addresses, for "allow-list"; and those parts of private ranges that are open
}

// Audit is the part [audit]: what is told of what programs in a runtime do, as events. What a backend cannot tell of is refused.
type Audit struct {
	Exec       bool     `koanf:"exec"`       // programs that are started
	Privileges bool     `koanf:"privileges"` // attempts to get rights
	Limits     bool     `koanf:"limits"`     // limits that are hit
	Files      string   `koanf:"files"`      // "off" (the default), "changed" or "all"
	Syscalls   []string `koanf:"syscalls"`   // system calls, by name, of which each is told
	// Rate is how many records per second are told of each kind; default 20. How many more there were is told.
	Rate int `koanf:"rate"`
}

// Admission is the part [admission]: whether this host has room for one more runtime.
type Admission struct {
	// Overcommit is how many times over the host may be promised to runtimes whose limits are named; default 1, negative
	// any number of times.
	Overcommit float64 `koanf:"overcommit"`
}

// Janitor is the part [janitor]: when sandboxes are ended that nobody drives any more.
type Janitor struct {
	// Grace is how long one is left alone after it was driven last, if its orphan_after is not longer; default 0.
	Grace time.Duration `koanf:"grace"`
	// Interval is the time between looks for such sandboxes; default 1m, 0 does not look.
	Interval time.Duration `koanf:"interval"`
}

// Idle is the part [idle]: when a runtime rests that nobody uses; the next action brings it up again. A runtime that is to
// be kept for ever is left alone.
type Idle struct {
	// PauseAfter is how long it is not used before its processes are stopped where they are; default 0, which is never.
	PauseAfter time.Duration `koanf:"pause_after"`
	// StopAfter is how long before they are ended, more than PauseAfter; its files are kept. Default 0, which is never.
	StopAfter time.Duration `koanf:"stop_after"`
}

// Pool is the part [pool]: how many warm sandboxes a process that drives runtimes holds ready, of each backend that can.
type Pool struct {
	// Least are held whether or not anybody asks; default 0.
	Least int `koanf:"least"`
	// Most are held, as many as were asked for in the last minute; default 0, which is no pool.
	Most int `koanf:"most"`
}

// Git is the part [git]: who commits in a runtime, and who clones into it.
type Git struct {
	Token string `koanf:"token" secret:"true"` // given by a credential helper, never stored; "" none
	User  string `koanf:"user"`                // user.name; "" leaves it
	Email string `koanf:"email"`               // user.email; "" leaves it
}

// Log is the part [log].
type Log struct {
	Level  string `koanf:"level"`  // debug, info, warn or error (the default)
	Format string `koanf:"format"` // text (the default) or json
}

func defaults() Config {
	return Config{
		Backend: "local",
		Queue:   1024,
		Journal: Journal{Sync: "process"},
		Lease:   Lease{TTL: 3 * time.Second},
		Restart: Restart{Intensity: 5, Window: time.Minute, Base: 200 * time.Millisecond, Cap: 30 * time.Second},
		Log:     Log{Level: "error", Format: "text"},
		Traces:  Traces{Sample: 1, Protocol: protocolHTTP},

		Admission: Admission{Overcommit: 1},
		Janitor:   Janitor{Interval: time.Minute},
	}
}

// check answers the key that is wrong, and why.
func (c Config) check() (string, error) {
	positive := func(d time.Duration) error {
		if d <= 0 {
			return fmt.Errorf("want more than 0, have %v", d)
		}
		return nil
	}
	switch {
	case !filepath.IsAbs(c.StateDir):
		return "state_dir", fmt.Errorf("want an absolute path, have %q", c.StateDir)
	case sandbox.ID(c.Backend).Check() != nil:
		return "backend", fmt.Errorf("want the name of a backend, have %q", c.Backend)
	case c.Queue < 1:
		return "queue", fmt.Errorf("want at least 1, have %d", c.Queue)
	case c.Admission.Overcommit == 0:
		return "admission.overcommit", errors.New("want more than 0, or less to promise any number of times")
	case c.Pool.Least < 0:
		return "pool.least", fmt.Errorf("want 0 or more, have %d", c.Pool.Least)
	case c.Pool.Most < c.Pool.Least:
		return "pool.most", fmt.Errorf("want at least pool.least, %d, have %d", c.Pool.Least, c.Pool.Most)
	case c.Janitor.Grace < 0:
		return "janitor.grace", fmt.Errorf("want 0 or more, have %v", c.Janitor.Grace)
	case c.Idle.PauseAfter < 0:
		return "idle.pause_after", fmt.Errorf("want more than 0, or 0 for never, have %v", c.Idle.PauseAfter)
	case c.Idle.StopAfter < 0:
		return "idle.stop_after", fmt.Errorf("want more than 0, or 0 for never, have %v", c.Idle.StopAfter)
	case c.Janitor.Interval < 0:
		return "janitor.interval", fmt.Errorf("want more than 0, or 0 not to look, have %v", c.Janitor.Interval)
	case c.Lease.TTL < 100*time.Millisecond:
		return "lease.ttl", fmt.Errorf("want at least 100ms, have %v: it is renewed three times as often", c.Lease.TTL)
	case c.Restart.Intensity < 0:
		return "restart.intensity", fmt.Errorf("want 0 or more, have %d", c.Restart.Intensity)
	case positive(c.Restart.Window) != nil:
		return "restart.window", positive(c.Restart.Window)
	case c.Restart.Base < 0:
		return "restart.base", fmt.Errorf("want 0 or more, have %v", c.Restart.Base)
	case c.Restart.Cap < c.Restart.Base:
		return "restart.cap", fmt.Errorf("want at least restart.base, %v, have %v", c.Restart.Base, c.Restart.Cap)
	}
	for _, w := range []struct{ key, have, want string }{
		{"journal.sync", c.Journal.Sync, "process full"},
		{"log.level", c.Log.Level, "debug info warn error"},
		{"log.format", c.Log.Format, "text json"},
	} {
		if err := oneOf(w.have, w.want); err != nil {
			return w.key, err
		}
	}
	if err := c.SandboxLimits().Check(); err != nil {
		return keyOf("limits", err)
	}
	if err := c.SandboxEgress().Check(); err != nil {
		return keyOf("egress", err)
	}
	if err := c.SandboxAudit().Check(); err != nil {
		return keyOf("audit", err)
	}
	if err := (sandbox.Idle(c.Idle)).Check(); err != nil {
		return keyOf("idle", err)
	}
	if c.Metrics.Pprof && c.Metrics.Address == "" {
		return "metrics.pprof", errors.New("want metrics.address too, where they are shown")
	}
	return c.Traces.check()
}

// keyOf splits what a Check says of a part into the key and the rest.
func keyOf(part string, err error) (string, error) {
	if name, rest, ok := strings.Cut(err.Error(), ": "); ok {
		return part + "." + name, errors.New(rest)
	}
	return part, err
}

// JournalConfig is where the journal is, and how safe.
func (c Config) JournalConfig() journal.Config {
	sync := journal.SyncProcess
	if c.Journal.Sync == "full" {
		sync = journal.SyncFull
	}
	return journal.Config{Path: filepath.Join(c.StateDir, "journal.db"), Sync: sync}
}

// SandboxLimits are the limits of a runtime, with the time of an action.
func (c Config) SandboxLimits() sandbox.Limits {
	l := c.Limits
	return sandbox.Limits{
		CPU: l.CPU, CPUShares: l.CPUShares, Affinity: l.Affinity,
		Memory: int64(l.Memory), Swap: int64(l.Swap), Swappiness: l.Swappiness,
		Disk: int64(l.Disk), Files: int64(l.Files), DiskRead: int64(l.DiskRead), DiskWrite: int64(l.DiskWrite),
		Network: int64(l.Network), Connections: l.Connections, Ports: l.Ports,
		Processes: l.Processes, ActionTimeout: c.Action.Timeout,
	}
}

// SandboxEgress is what a runtime may connect to.
func (c Config) SandboxEgress() sandbox.Egress {
	return sandbox.Egress{Mode: sandbox.EgressMode(c.Egress.Mode), Domains: c.Egress.Domains, CIDRs: c.Egress.CIDRs}
}

// SandboxAudit is what is told of a runtime.
func (c Config) SandboxAudit() sandbox.Audit {
	a := c.Audit
	return sandbox.Audit{
		Exec: a.Exec, Privileges: a.Privileges, Limits: a.Limits, Files: sandbox.AuditFiles(a.Files), Syscalls: a.Syscalls, Rate: a.Rate,
	}
}
