package backends

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/sandtree/sandtree/internal/egress"
	"github.com/sandtree/sandtree/sandbox"
)

// What an idle sandbox uses: what counts of a limit that is not named. The server inside and a shell have 10 MB, a dozen
// threads and, on the controller's side, a connection or two, a handle of its process and the sockets of its way out.
// What it connects to through the controller comes on top, to the last connection that it may have: whoever takes them takes
// them from all other sandboxes of this process.
const (
	idleMemory      = 16 << 20
	idleDisk        = 1 << 20
	idleProcesses   = 32
	idleDescriptors = 16
)

// promise is what a sandbox was promised.
type promise struct {
	backend                              string
	id                                   sandbox.ID
	memory, disk, processes, descriptors int64
}

// promiseOf is what s asks of a backend that enforces these limits.
func promiseOf(backend string, s sandbox.Spec, enforced []string) promise {
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
		descriptors: idleDescriptors + connecting(l, enforced),
	}
}

// connecting is how many descriptors of this process the connections of a sandbox take, two each, if they go through it.
func connecting(l sandbox.Limits, enforced []string) int64 {
	if !slices.Contains(enforced, LimitConnections) {
		return 0
	}
	return 2 * min(int64(egress.Connections(l)), math.MaxInt32)
}

// key is the same for all promises to one sandbox.
func (p promise) key() string { return p.backend + "@" + string(p.id) }

// name is that of the file that stands for it: BACKEND@ID@MEMORY@DISK@PROCESSES@DESCRIPTORS. A name can be read without opening the
// file, and comes and goes whole.
func (p promise) name() string {
	return fmt.Sprintf("%s@%d@%d@%d@%d", p.key(), p.memory, p.disk, p.processes, p.descriptors)
}

func parsePromise(name string) (promise, bool) {
	parts := strings.Split(name, "@")
	if len(parts) != 6 {
		return promise{}, false
	}
	var n [4]int64
	for i, s := range parts[2:] {
		var err error
		if n[i], err = strconv.ParseInt(s, 10, 64); err != nil || n[i] < 0 {
			return promise{}, false
		}
	}
	return promise{parts[0], sandbox.ID(parts[1]), n[0], n[1], n[2], n[3]}, true
}
