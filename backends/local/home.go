package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// home is the directory of one sandbox, in which everything stands that the next process must know:
//
//	label.json  whose it is, where it works, how its processes are known
//	key         the key of its server, for its owner's eyes only
//	pid.json    the identity of its server; absent before the first start
//	exit.json   how that server ended, noted by the process that started it
//	lock        held by whoever starts, halts or removes it
//	sock        its server's socket, unless the path would be too long
//	log         what its server says
//	state/      its server's memory: what it has done already
//	home/       $HOME of its programs, unless the driver was given another
//	workspace/  unless the spec named another directory
//
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

// label is what a home says of its sandbox. It holds no secret.
type label struct {
	ID        sandbox.ID     `json:"id"`
	Owner     string         `json:"owner,omitempty"`
	Epoch     uint64         `json:"epoch"`
	Created   time.Time      `json:"created"`
	Workspace string         `json:"workspace"`
	Named     bool           `json:"named"` // the workspace is the caller's, and stays
	Mark      string         `json:"mark"`  // value of SANDTREE_SANDBOX in the environment of its processes; unique
	Socket    string         `json:"socket"`
	Cgroup    string         `json:"cgroup,omitempty"`
	Limits    sandbox.Limits `json:"limits"`
}

// read gives the label. fs.ErrNotExist if there is no such sandbox.
func (h home) read() (label, error) {
	var l label
	err := readJSON(h.labelFile(), &l)
	return l, err
}

func (h home) write(l label) error { return writeJSON(h.labelFile(), l) }

// server gives the identity of the latest server; false if there never was one.
func (h home) server() (identity, bool) {
	var id identity
	err := readJSON(h.pidFile(), &id)
	return id, err == nil && id.PID > 1
}

func (h home) key() (string, error) {
	b, err := os.ReadFile(h.keyFile())
	return strings.TrimSpace(string(b)), err
}

// note is how a server ended.
type note struct {
	Identity identity `json:"server"`
	Code     int      `json:"code"`
	Signal   int      `json:"signal"`
}

// write keeps the note where it may be found; where there is no home any more, nobody will look.
func (n note) write(file string) { _ = writeJSON(file, n) }

// readNote is how the server ended that id names, as far as that is known.
func readNote(file string, id identity) sandbox.Exit {
	var n note
	if err := readJSON(file, &n); err != nil || n.Identity != id {
		return sandbox.Exit{Code: -1, Reason: "ended; how, only the process that started it could have seen"}
	}
	return sandbox.Exit{Code: n.Code, Signal: n.Signal}
}

func readJSON(file string, v any) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

func writeJSON(file string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return replace(file, append(b, '\n'))
}

// replace writes a file so that a reader finds the old content or the new, also after a crash in the middle.
func replace(file string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// removeTree removes a directory to the last file, also where what ran in it took away its own permission to do so, as
// a module cache does.
func removeTree(dir string) error {
	err := os.RemoveAll(dir)
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() { // before it is read, so that it can be
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
