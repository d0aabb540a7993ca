package gvisor

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
//	pid.json    the identity of its companion; absent before the first start
//	exit.json   how that ended, noted by the process that started it
//	lock        held by whoever starts, halts or removes it
//	log         what its companion and its server say
//	box/        its server's socket, and its memory of what it has done already
//	home/       $HOME of its programs
//	workspace/  unless the spec named another directory
//
// The sandbox sees the last three and nothing else of it. What stands in those is a stranger's, who can change it at any
// time: it is removed, never read or followed. While there is a home there is a sandbox, dead or alive: its server can die and
// be revived, and remembers.
type home string

func (h home) path(name string) string { return filepath.Join(string(h), name) }

func (h home) labelFile() string { return h.path("label.json") }
func (h home) keyFile() string   { return h.path("key") }
func (h home) pidFile() string   { return h.path("pid.json") }
func (h home) exitFile() string  { return h.path("exit.json") }
func (h home) logFile() string   { return h.path("log") }
func (h home) boxDir() string    { return h.path("box") }
func (h home) homeDir() string   { return h.path("home") }
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
	FirstID   uint32         `json:"first_id,omitempty"` // of the host's user numbers that are its own
	Limits    sandbox.Limits `json:"limits"`
	Egress    sandbox.Egress `json:"egress,omitzero"`
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
