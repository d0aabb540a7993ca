package jail

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// home is the directory of one sandbox, in which everything stands that the next process must know:
//
//	label.json  whose it is, where it works, which user numbers are its own
//	key         the key of its server, for its owner's eyes only
//	pid.json    the identity of its server; absent before the first start
//	exit.json   how that server ended, noted by the process that started it
//	lock        held by whoever starts, halts or removes it
//	sock        its server's socket, made by us and handed down, as the next: nothing in the jail can reach them by name
//	doors       where its first process gives the sockets through which its programs get out
//	audit       where its keeper tells what its programs do, if that is asked for (see keeper.go)
//	audit.state what that leaves to the next; locked while there is one
//	audit.exit  how that ended
//	log         what its server says, and its keeper
//	state/      its server's memory: what it has done already
//	home/       $HOME of its programs
//	workspace/  unless the spec named another directory
//	disk        a file system with the last three, instead of them
//
// Where there has been a snapshot, or it began with one, home and workspace are in layers instead (see layer).
//
// The jail sees these and nothing else of it. What stands in those is a stranger's: it is removed, never read.
// While there is a home there is a sandbox, dead or alive: its server can die and be revived, and remembers.
type home string

func (h home) path(name string) string { return filepath.Join(string(h), name) }

func (h home) labelFile() string { return h.path("label.json") }
func (h home) keyFile() string   { return h.path("key") }
func (h home) pidFile() string   { return h.path("pid.json") }
func (h home) exitFile() string  { return h.path("exit.json") }
func (h home) logFile() string   { return h.path("log") }
func (h home) stateDir() string  { return h.path("state") }
func (h home) homeDir() string   { return h.path("home") }
func (h home) imageFile() string { return h.path("disk") }
func (h home) ownWork() string   { return h.path("workspace") }

// label is what a home says of its sandbox. It holds no secret.
type label struct {
	ID        sandbox.ID     `json:"id"`
	Owner     string         `json:"owner,omitempty"`
	Epoch     uint64         `json:"epoch"`
	Created   time.Time      `json:"created"`
	Workspace string         `json:"workspace"`
	Resolved  string         `json:"resolved,omitempty"` // where a named one is, links followed
	Named     bool           `json:"named"`              // the workspace is the caller's, and stays
	Mark      string         `json:"mark"`               // value of SANDTREE_SANDBOX in the environment of its processes, and name of its control group; unique
	FirstID   uint32         `json:"first_id,omitempty"` // of the host's user numbers that are its own; 0 if it runs as its controller's user
	Limits    sandbox.Limits `json:"limits"`
	Egress    sandbox.Egress `json:"egress,omitzero"`
	Audit     sandbox.Audit  `json:"audit,omitzero"`
	Imaged    bool           `json:"imaged,omitempty"` // its files are in an image, of DiskSize bytes
	DiskSize  int64          `json:"disk_size,omitempty"`
	InMemory  bool           `json:"in_memory,omitempty"` // and the image in the memory of its server's life
	From      string         `json:"from,omitempty"`      // the snapshot that it began with
	Layers    []string       `json:"layers,omitempty"`    // of its home and workspace, the uppermost first; none: they are in the home
	Pending   *swap          `json:"pending,omitempty"`   // that is under way
}

// read gives the label. fs.ErrNotExist if there is no such sandbox.
func (h home) read() (label, error) {
	var l label
	err := held.ReadJSON(h.labelFile(), &l)
	return l, err
}

func (h home) write(l label) error { return held.WriteJSON(h.labelFile(), l) }

// server gives the identity of the latest server; false if there never was one.
func (h home) server() (held.Identity, bool) {
	var id held.Identity
	err := held.ReadJSON(h.pidFile(), &id)
	return id, err == nil && id.PID > 1
}

func (h home) key() (string, error) {
	b, err := os.ReadFile(h.keyFile())
	return strings.TrimSpace(string(b)), err
}
