package homes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// Home is the directory of one sandbox, in which everything stands that the next process must know:
//
//	label.json  whose it is, where it works, how its processes are known
//	key         the key of its server, for its owner's eyes only
//	pid.json    the identity of its server, or of what stands for it; absent before the first start
//	exit.json   how that ended, noted by the process that started it
//	lock        held by whoever starts, halts or removes it
//	log         what its server says
//	home/       $HOME of its programs
//	workspace/  unless the spec named another directory
//
// and what else its driver has there. What programs can write to is a stranger's: it is removed, never read. While there is a home
// there is a sandbox, dead or alive: its server can die and be revived, and remembers.
type Home string

// Path is that of something in the home.
func (h Home) Path(name string) string { return filepath.Join(string(h), name) }

// The files and directories of a home.
func (h Home) LabelFile() string { return h.Path("label.json") }
func (h Home) KeyFile() string   { return h.Path("key") }
func (h Home) PIDFile() string   { return h.Path("pid.json") }
func (h Home) ExitFile() string  { return h.Path("exit.json") }
func (h Home) LogFile() string   { return h.Path("log") }
func (h Home) HomeDir() string   { return h.Path("home") }
func (h Home) OwnWork() string   { return h.Path("workspace") }

// Label is what every home says of its sandbox. It holds no secret.
type Label struct {
	ID        sandbox.ID     `json:"id"`
	Owner     string         `json:"owner,omitempty"`
	Epoch     uint64         `json:"epoch"`
	Created   time.Time      `json:"created"`
	Workspace string         `json:"workspace"`
	Resolved  string         `json:"resolved,omitempty"` // where a named one is, links followed, if it is shown
	Named     bool           `json:"named"`              // the workspace is the caller's, and stays
	Mark      string         `json:"mark"`               // value of SANDTREE_SANDBOX in the environment of its processes, and name of its control group; unique
	FirstID   uint32         `json:"first_id,omitempty"` // of the host's user numbers that are its own; 0 if it runs as its controller's user
	Limits    sandbox.Limits `json:"limits"`
	Egress    sandbox.Egress `json:"egress,omitzero"`
	From      string         `json:"from,omitempty"` // the snapshot that it began with
}

// Read gives a label, in what l points to. fs.ErrNotExist if there is no such sandbox.
func (h Home) Read(l any) error { return held.ReadJSON(h.LabelFile(), l) }

// Write writes a label.
func (h Home) Write(label any) error { return held.WriteJSON(h.LabelFile(), label) }

// Server gives the identity of the latest server; false if there never was one.
func (h Home) Server() (held.Identity, bool) {
	var id held.Identity
	err := held.ReadJSON(h.PIDFile(), &id)
	return id, err == nil && id.PID > 1
}

// Exited says whether the sandbox has no living server and nobody is about to start one.
func (h Home) Exited() bool {
	if id, ok := h.Server(); ok && held.Alive(id) {
		return false
	}
	return !held.Locked(string(h))
}

// Key is what the server asks for.
func (h Home) Key() (string, error) {
	b, err := os.ReadFile(h.KeyFile())
	return strings.TrimSpace(string(b)), err
}

// MakeKey gives the key, which is made once: a revived server has the one that clients know.
func (h Home) MakeKey() (string, error) {
	if key, err := h.Key(); err == nil && key != "" {
		return key, nil
	}
	key := sandbox.RandomHex(32)
	return key, held.Replace(h.KeyFile(), []byte(key+"\n"))
}

// fenced says that somebody has a sandbox for a newer epoch.
func (l *Label) fenced(epoch uint64) error {
	return Coded(sandbox.Conflict, fmt.Errorf("epoch %d holds it, which is newer than %d", l.Epoch, epoch))
}

// Fenced says so, if that is the case.
func (l *Label) Fenced(epoch uint64) error {
	if l.Epoch > epoch {
		return l.fenced(epoch)
	}
	return nil
}

// Conflicts says why a sandbox of spec cannot be had where the one labelled l is.
func (l *Label) Conflicts(spec sandbox.Spec) error {
	if err := l.Fenced(spec.Epoch); err != nil {
		return err
	}
	if spec.Workspace != "" && filepath.Clean(spec.Workspace) != l.Workspace {
		return Coded(sandbox.Conflict, fmt.Errorf("it works in %s, not in %s", l.Workspace, spec.Workspace))
	}
	if spec.From != "" && spec.From != l.From {
		return Coded(sandbox.Conflict, fmt.Errorf("it did not begin with the snapshot %q: take another id, or restore it", spec.From))
	}
	return nil
}
