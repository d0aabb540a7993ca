package docker

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// home is the directory of one sandbox, in which everything stands that the next process must know:
//
//	label.json  whose it is, which container it is, where it works
//	key         the key of its server, for its owner's eyes only
//	lock        held by whoever starts, halts or removes it
//	box/        mounted into the container: the server's socket, and its memory of what it has done
//	home/       mounted: $HOME of its programs, unless the configuration names another
//	workspace/  mounted, unless the spec named another directory
//	overlay/    what was written over mounts of mode overlay
//
// While there is a home there is a sandbox, dead or alive: its container can end and be started again, and remembers.
// The container never sees more of it than what is mounted. What is mounted a hostile sandbox can change at any time, so that
// nothing there is followed, believed or read by this program.
type home string

func (h home) path(name string) string { return filepath.Join(string(h), name) }

func (h home) labelFile() string    { return h.path("label.json") }
func (h home) keyFile() string      { return h.path("key") }
func (h home) boxDir() string       { return h.path("box") }
func (h home) homeDir() string      { return h.path("home") }
func (h home) workspaceDir() string { return h.path("workspace") }
func (h home) overlayDir() string   { return h.path("overlay") }

// label is what a home says of its sandbox. It holds no secret.
type label struct {
	ID        sandbox.ID     `json:"id"`
	Owner     string         `json:"owner,omitempty"`
	Epoch     uint64         `json:"epoch"`
	Created   time.Time      `json:"created"`
	Workspace string         `json:"workspace,omitempty"` // on the engine's machine; "" is in the container
	Named     bool           `json:"named"`               // the workspace is the caller's, and stays
	Blank     string         `json:"blank,omitempty"`     // what its home was called when it was nobody's; see blank
	Container string         `json:"container"`           // its name, which no other sandbox ever has
	UID       int            `json:"uid"`
	GID       int            `json:"gid"`
	InMemory  bool           `json:"in_memory,omitempty"` // its home is, and its workspace unless that is named
	Limits    sandbox.Limits `json:"limits"`              // that the container has
	Egress    sandbox.Egress `json:"egress,omitzero"`
	From      string         `json:"from,omitempty"`      // the snapshot that it began with
	Image     string         `json:"image,omitempty"`     // id of the snapshot's that its container is made of; "" is the configured one
	Restoring string         `json:"restoring,omitempty"` // the same, of a restore that is under way
	Audit     sandbox.Audit  `json:"audit,omitzero"`
}

// read gives the label. fs.ErrNotExist if there is no such sandbox.
func (h home) read() (label, error) {
	var l label
	err := held.ReadJSON(h.labelFile(), &l)
	return l, err
}

func (h home) write(l label) error { return held.WriteJSON(h.labelFile(), l) }

func (h home) key() (string, error) {
	b, err := os.ReadFile(h.keyFile())
	return strings.TrimSpace(string(b)), err
}

// makeKey gives the key of the home, which is made once: a revived server has the one that clients know.
func (h home) makeKey() (string, error) {
	if key, err := h.key(); err == nil && key != "" {
		return key, nil
	}
	key := sandbox.RandomHex(32)
	return key, held.Replace(h.keyFile(), []byte(key+"\n"))
}

// furnish makes what is mounted into the container, for the user that programs run as.
func (d *Driver) furnish(h home, l label) error {
	var dirs []string
	if d.config.shared() {
		dirs = append(dirs, h.boxDir())
		if d.config.Home == "" && !l.InMemory {
			dirs = append(dirs, h.homeDir())
		}
		if !l.Named && !l.InMemory {
			dirs = append(dirs, h.workspaceDir())
		}
	}
	for i, m := range d.mounts {
		if m.mode == modeOverlay {
			upper, work := h.overlay(i)
			if err := os.MkdirAll(work, 0o700); err != nil {
				return err
			}
			if err := copyOwner(m.source, upper); err != nil {
				return err
			}
		}
	}
	for _, dir := range dirs {
		if err := os.Mkdir(dir, 0o700); errors.Is(err, os.ErrExist) {
			continue
		} else if err != nil {
			return err
		}
		if os.Geteuid() == 0 {
			if err := os.Lchown(dir, l.UID, l.GID); err != nil {
				return err
			}
		}
	}
	return nil
}
