package backends

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sandtree/sandtree/sandbox"
)

// What a driver may enforce, by the names that LimitNames, Limiter and Unenforced use; they are also the keys of
// sandbox.Limits in JSON. The time that an action may take is not among them: it is kept where actions are sent from,
// whatever the driver.
const (
	LimitCPU         = "cpu"
	LimitCPUShares   = "cpu_shares"
	LimitAffinity    = "affinity"
	LimitMemory      = "memory"
	LimitSwap        = "swap"
	LimitSwappiness  = "swappiness"
	LimitDisk        = "disk"
	LimitFiles       = "files"
	LimitDiskRead    = "disk_read"
	LimitDiskWrite   = "disk_write"
	LimitNetwork     = "network"
	LimitConnections = "connections"
	LimitPorts       = "ports"
	LimitProcesses   = "processes"
	LimitEgress      = "egress" // sandbox.Spec.Egress, which is no number but is enforced or refused as they are
)

// limits says of each what a spec asks: that it be enforced (1), what is usual (0) or that there be none (-1).
// bounded says whether the usual is a bound, and not the absence of one.
var limits = []struct {
	name    string
	bounded bool
	sign    func(sandbox.Spec) int
}{
	{LimitCPU, true, func(s sandbox.Spec) int { return cmp.Compare(s.Limits.CPU, 0) }},
	{LimitCPUShares, false, func(s sandbox.Spec) int { return cmp.Compare(s.Limits.CPUShares, 0) }},
	{LimitAffinity, false, func(s sandbox.Spec) int { return named(s.Limits.Affinity != "") }},
	{LimitMemory, true, func(s sandbox.Spec) int { return cmp.Compare(s.Limits.Memory, 0) }},
	{LimitSwap, true, func(s sandbox.Spec) int { return cmp.Compare(s.Limits.Swap, 0) }},
	{LimitSwappiness, false, func(s sandbox.Spec) int { return cmp.Compare(s.Limits.Swappiness, 0) }},
	{LimitDisk, true, func(s sandbox.Spec) int { return cmp.Compare(s.Limits.Disk, 0) }},
	{LimitFiles, false, func(s sandbox.Spec) int { return cmp.Compare(s.Limits.Files, 0) }},
	{LimitDiskRead, false, func(s sandbox.Spec) int { return cmp.Compare(s.Limits.DiskRead, 0) }},
	{LimitDiskWrite, false, func(s sandbox.Spec) int { return cmp.Compare(s.Limits.DiskWrite, 0) }},
	{LimitNetwork, true, func(s sandbox.Spec) int { return cmp.Compare(s.Limits.Network, 0) }},
	{LimitConnections, true, func(s sandbox.Spec) int { return cmp.Compare(s.Limits.Connections, 0) }},
	{LimitPorts, false, func(s sandbox.Spec) int { return named(s.Limits.Ports != "") }},
	{LimitProcesses, true, func(s sandbox.Spec) int { return cmp.Compare(s.Limits.Processes, 0) }},
	{LimitEgress, true, func(s sandbox.Spec) int { return named(!s.Egress.IsZero()) }},
}

// LimitNames are all of them.
var LimitNames = func() (names []string) {
	for _, l := range limits {
		names = append(names, l.name)
	}
	return names
}()

func named(is bool) int {
	if is {
		return 1
	}
	return 0
}

// checkLimits refuses a limit that is named and not enforced. Code: Unsupported.
func checkLimits(backend string, spec sandbox.Spec, enforced []string) error {
	for _, l := range limits {
		if l.sign(spec) > 0 && !slices.Contains(enforced, l.name) {
			return &sandbox.Error{Code: sandbox.Unsupported, Op: "limits." + l.name, ID: spec.ID,
				Err: fmt.Errorf("backend %q cannot enforce it here, and a limit that is asked for is never ignored", backend)}
		}
	}
	return nil
}

// unenforced names the limits whose default would apply if the driver could enforce it.
func unenforced(spec sandbox.Spec, enforced []string) []string {
	var names []string
	for _, l := range limits {
		if l.bounded && l.sign(spec) == 0 && !slices.Contains(enforced, l.name) {
			names = append(names, l.name)
		}
	}
	return names
}
