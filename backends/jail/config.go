package jail

import (
	"fmt"
	"log/slog"
	"slices"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/sandbox"
)

// Config says how sandboxes are placed. Only StateDir is needed.
type Config struct {
	// StateDir is the directory below which the sandboxes are, in jail/ID; made if it is missing. Whoever uses the
	// same directory shares the sandboxes.
	StateDir string `koanf:"-"`
	// Sandboxd is the path of the server's program; "" looks beside the running program, then on PATH.
	Sandboxd string `koanf:"sandboxd"`
	// Root is a directory with a root file system, say an unpacked image; "" shows the programs of the host: /usr and what
	// of /etc they need. It cannot be written to, unless Overlay is set.
	Root string `koanf:"root"`
	// Overlay lets Root be written to. Started by root, with Storage "directory", what is written is kept with the sandbox's other
	// files, and is in snapshots; else it is held in memory and ends with the server.
	Overlay bool `koanf:"overlay"`
	// Paths are further files and directories of the host to be shown at the same place, for reading.
	Paths []string `koanf:"paths"`
	// User is whom programs run as: "sandbox", which is the default and has number 1000, or "root", who in a jail has no
	// more rights than the other, but the number 0.
	User string `koanf:"user"`
	// Storage is where a sandbox has its workspace, unless that is named, its home and its server's state: in a "directory"
	// of the host, which is the default and not bounded, or in an "image", which has the size of the limit of the disk, and
	// which the host does not see into; or in "memory", as large as the limit of the disk or half that of the memory, for which
	// it counts, and gone with the server. Images need root and mkfs.ext4, memory root.
	Storage string `koanf:"storage"`
	// Forget lets a sandbox in memory be stopped when nobody uses it, though all its files are gone then.
	Forget bool `koanf:"forget"`
	// Least is the weakest isolation that will do, one of Tiers; "" is the first. Where the machine cannot give it, every
	// start is Unsupported.
	Least string `koanf:"least"`
	// Environ is where LANG and TZ of the sandboxes are taken from, as KEY=VALUE; what it lacks has the values of a fresh
	// login. Nothing else of it reaches a sandbox.
	Environ []string `koanf:"-"`
	// OnConnection, if not nil, hears what sandboxes do on the network; see backends.Options.
	OnConnection func(id sandbox.ID, c sandbox.Connection) `koanf:"-"`
	// OnAudit, if not nil, hears what is told of programs; see backends.Options.
	OnAudit func(id sandbox.ID, records []sandbox.AuditRecord) error `koanf:"-"`
	// Log is told what a caller would not see; nil discards.
	Log *slog.Logger `koanf:"-"`
}

// shown is what c says that sandboxes see of the host.
func (c Config) shown() homes.Shown {
	return homes.Shown{StateDir: c.StateDir, Root: c.Root, Overlay: c.Overlay, Paths: c.Paths, User: c.User}
}

// check says what of c cannot be; the error names the field.
func (c Config) check() error {
	switch {
	case c.Storage != "" && !slices.Contains(storages, c.Storage):
		return fmt.Errorf("%q as Storage is none of %q", c.Storage, storages)
	case c.Least != "" && !isTier(c.Least):
		return fmt.Errorf("%q as Least is none of %q", c.Least, Tiers)
	}
	return c.shown().Check()
}
