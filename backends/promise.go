package backends

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// What an idle sandbox uses: what counts of a limit that is not named. The server inside and a shell have 10 MB, a dozen
// threads and, on the controller's side, a connection or two, a handle of its process and the sockets of its way out.
const (
	idleMemory      = 16 << 20
	idleDisk        = 1 << 20
	idleProcesses   = 32
	idleDescriptors = 16
)

// promise is what a sandbox was promised.
type promise struct {
	backend                 string
	id                      sandbox.ID
	memory, disk, processes int64
}

func promiseOf(backend string, s sandbox.Spec) promise {
	or := func(limit, idle int64) int64 {
		if limit > 0 {
			return limit
		}
		return idle
	}
	l := s.Limits
	return promise{
		backend: backend, id: s.ID,
		memory: or(l.Memory, idleMemory), disk: or(l.Disk, idleDisk), processes: or(int64(l.Processes), idleProcesses),
	}
}

// key is the same for all promises to one sandbox.
func (p promise) key() string { return p.backend + "@" + string(p.id) }

// name is that of the file that stands for it: BACKEND@ID@MEMORY@DISK@PROCESSES. A name can be read without opening the
// file, and comes and goes whole.
func (p promise) name() string {
	return fmt.Sprintf("%s@%d@%d@%d", p.key(), p.memory, p.disk, p.processes)
}

func parsePromise(name string) (promise, bool) {
	parts := strings.Split(name, "@")
	if len(parts) != 5 {
		return promise{}, false
	}
	var n [3]int64
	for i, s := range parts[2:] {
		var err error
		if n[i], err = strconv.ParseInt(s, 10, 64); err != nil || n[i] < 0 {
			return promise{}, false
		}
	}
	return promise{parts[0], sandbox.ID(parts[1]), n[0], n[1], n[2]}, true
}
