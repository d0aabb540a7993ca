package backends

import (
	"fmt"
	"slices"

	"github.com/sandtree/sandtree/sandbox"
)

// The limits that a driver may enforce, by the names that LimitNames, Limiter and Unenforced use. The time that an
// action may take is not among them: it is kept where actions are sent from, whatever the driver.
const (
	LimitCPU         = "cpu"
	LimitMemory      = "memory"
	LimitDisk        = "disk"
	LimitNetwork     = "network"
	LimitConnections = "connections"
	LimitProcesses   = "processes"
)

// LimitNames are all of them.
var LimitNames = []string{LimitCPU, LimitMemory, LimitDisk, LimitNetwork, LimitConnections, LimitProcesses}

// sign says of a limit whether it is named (1), left to the default (0) or lifted (-1).
func sign(l sandbox.Limits, name string) int {
	of := func(n int64) int { return int(max(-1, min(1, n))) }
	switch name {
	case LimitCPU:
		switch {
		case l.CPU > 0:
			return 1
		case l.CPU < 0:
			return -1
		}
		return 0
	case LimitMemory:
		return of(l.Memory)
	case LimitDisk:
		return of(l.Disk)
	case LimitNetwork:
		return of(l.Network)
	case LimitConnections:
		return of(int64(l.Connections))
	case LimitProcesses:
		return of(int64(l.Processes))
	}
	panic("backends: no limit " + name)
}

// checkLimits refuses a limit that is named and not enforced. Code: Unsupported.
func checkLimits(backend string, spec sandbox.Spec, enforced []string) error {
	for _, name := range LimitNames {
		if sign(spec.Limits, name) > 0 && !slices.Contains(enforced, name) {
			return &sandbox.Error{Code: sandbox.Unsupported, Op: "limits." + name, ID: spec.ID,
				Err: fmt.Errorf("backend %q cannot enforce it here, and a limit that is asked for is never ignored", backend)}
		}
	}
	return nil
}

// unenforced names the limits whose default would apply if the driver could enforce it.
func unenforced(l sandbox.Limits, enforced []string) []string {
	var names []string
	for _, name := range LimitNames {
		if sign(l, name) == 0 && !slices.Contains(enforced, name) {
			names = append(names, name)
		}
	}
	return names
}
