package gvisor

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/sandbox"
)

// Config says how sandboxes are placed. Only StateDir is needed.
type Config struct {
	// StateDir is the directory below which the sandboxes are, in gvisor/ID; made if it is missing. Whoever uses the
	// same directory shares the sandboxes.
	StateDir string `koanf:"-"`
	// Sandboxd is the path of the server's program; "" looks beside the running program, then on PATH.
	Sandboxd string `koanf:"sandboxd"`
	// Companion is the path of sandtree-gvisor; "" looks beside the running program, then on PATH.
	Companion string `koanf:"companion"`
	// Root is a directory with a root file system, say an unpacked image; "" shows the programs of the host: /usr and what
	// of /etc they need. It cannot be written to, unless Overlay is set.
	Root string `koanf:"root"`
	// Overlay lets Root be written to: what is written is held in memory and ends with the server.
	Overlay bool `koanf:"overlay"`
	// Paths are further files and directories of the host to be shown at the same place, for reading.
	Paths []string `koanf:"paths"`
	// User is whom programs run as: "sandbox", which is the default and has number 1000, or "root", who has no more rights
	// than the other, but the number 0.
	User string `koanf:"user"`
	// Network is "filtered", which is the default: programs reach what the egress policy allows, through their controller,
	// by sockets of the machine's kernel, in a network of their own; or "none": gVisor's own network, which leads nowhere.
	Network string `koanf:"network"`
	// Debug is a directory for gVisor's own logs, which tell each call of each program, secrets too; "" keeps none. Not below /tmp,
	// where the companion has something else.
	Debug string `koanf:"debug"`
	// Environ is where LANG and TZ of the sandboxes are taken from, as KEY=VALUE; what it lacks has the values of a fresh
	// login. Nothing else of it reaches a sandbox.
	Environ []string `koanf:"-"`
	// OnConnection, if not nil, hears what sandboxes do on the network; see backends.Options.
	OnConnection func(id sandbox.ID, c sandbox.Connection) `koanf:"-"`
	// Log is told what a caller would not see; nil discards.
	Log *slog.Logger `koanf:"-"`
}

// The networks.
const (
	networkFiltered = "filtered"
	networkNone     = "none"
)

// shown is what c says that sandboxes see of the host.
func (c Config) shown() homes.Shown {
	return homes.Shown{StateDir: c.StateDir, Root: c.Root, Overlay: c.Overlay, Paths: c.Paths, User: c.User}
}

// check says what of c cannot be; the error names the field.
func (c Config) check() error {
	switch {
	case c.Network != "" && c.Network != networkFiltered && c.Network != networkNone:
		return fmt.Errorf("%q as Network is neither %q nor %q", c.Network, networkFiltered, networkNone)
	case c.Debug != "" && (!filepath.IsAbs(c.Debug) || strings.HasPrefix(c.Debug, "/tmp/")):
		return fmt.Errorf("%q as Debug is not an absolute path outside of /tmp", c.Debug)
	}
	return c.shown().Check()
}
