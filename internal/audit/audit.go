// Package audit tells what programs in a sandbox of this machine's kernel do: a keeper, which is a process of its own outside
// of the sandbox, is asked by the kernel before each system call that a filter says so of (seccomp_unotify(2)), notes it and
// lets it go on.
//
// The keeper is neither the controller nor the server inside. When the last descriptor of such a filter is closed, the kernel
// fails the calls with ENOSYS, and while nobody answers, they wait: a controller that is killed would stop every program from
// starting another. The server cannot be the one either: it waits for its own children to execute, with the lock of Go's
// scheduler. The keeper lives as long as the sandbox. It keeps what it has seen, up to a bound, for whichever controller
// connects to its socket, until that has acknowledged it; the last one to connect is the one.
//
// The sandbox's first process has the descriptor too, so that a keeper that was killed can be replaced, by anybody who may
// look into that process: see Config.Descriptor.
//
// The keeper reads the memory of hostile programs. Everything that it reads is bounded, and taken as bytes. It has given up all
// capabilities but those over the sandbox's own user namespace, which it has for being of the user who made that. It still is
// that user, root's number where root is the controller, and outside of the sandbox: a keeper that is broken into can write to
// that user's files. (Landlock would forbid it to look into processes that are not below it.)
package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/net/bpf"

	"github.com/sandtree/sandtree/sandbox"
)

// Config says what a keeper looks for.
type Config struct {
	// Descriptor is the number that the filter's descriptor has in the sandbox's first process.
	Descriptor int `json:"descriptor"`
	// Calls are the system calls that the filter asks about, by their number. Of another one it is said that there is none.
	Calls map[int]Call `json:"calls"`
	// IDs are how the sandbox's user numbers are those of the keeper.
	IDs []IDs `json:"ids"`
	// Rate is how many records per second are told of each kind.
	Rate int `json:"rate"`
	// Successor says that there was a keeper before, which was killed.
	Successor bool `json:"successor,omitempty"`
}

// Call is a system call that is asked about.
type Call struct {
	Name string            `json:"name"`
	Kind sandbox.AuditKind `json:"kind"`
	// Form says what its arguments are, one letter each: see describe.
	Form string `json:"form,omitempty"`
	// Write says that it changes a file, whatever its arguments.
	Write bool `json:"write,omitempty"`
	// Errno is the answer; 0 lets it go on.
	Errno int `json:"errno,omitempty"`
	// Decide is what decides by the call's arguments instead, as a filter does: steps over struct seccomp_data.
	Decide []bpf.RawInstruction `json:"decide,omitempty"`
	// Refused is the kind of those that are denied by that; "" is Kind.
	Refused sandbox.AuditKind `json:"refused,omitempty"`
}

// IDs maps a range of user numbers.
type IDs struct {
	Inside  int `json:"inside"`
	Outside int `json:"outside"`
	Size    int `json:"size"`
}

// The descriptors that a keeper is handed down.
const (
	ConfigFD = 3 + iota // a pipe, with the Config in JSON
	ServerFD            // a pidfd of the sandbox's first process, with whose end the keeper ends
	ListenFD            // a Unix socket, at which a controller hears what there is to tell
	StateFD             // a file of StateSize bytes, whose lock the keeper holds
	LoadedFD            // a pipe that ends when the first process has loaded its filter, or has ended
)

const (
	// StateSize is how many bytes the file has in which a keeper leaves which call it was about to answer.
	StateSize = 4096
	maxConfig = 1 << 16 // bytes: what a pipe takes without a reader; 200 calls have a quarter
)

// Encode gives what is written to the pipe.
func (c Config) Encode() ([]byte, error) {
	b, err := json.Marshal(c)
	if err == nil && len(b) > maxConfig {
		err = fmt.Errorf("%d bytes of configuration, want at most %d", len(b), maxConfig)
	}
	return b, err
}

// receive reads the Config from its pipe.
func receive() (c Config, err error) {
	f := os.NewFile(ConfigFD, "config")
	if f == nil {
		return c, errors.New("a keeper is started by the jail backend, and not by hand")
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		return c, fmt.Errorf("what to look for: %w", err)
	}
	return c, nil
}
