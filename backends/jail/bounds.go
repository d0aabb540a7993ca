package jail

import (
	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/sandbox"
)

// Enforces names the limits that this process can enforce.
func (d *Driver) Enforces() []string {
	// The first by the jail's own count, in its user namespace; the others by the one way out.
	names := []string{backends.LimitProcesses, backends.LimitNetwork, backends.LimitConnections, backends.LimitPorts, backends.LimitEgress}
	if d.config.Storage == storageImage || d.inMemory() {
		names = append(names, backends.LimitDisk, backends.LimitFiles)
	}
	for _, limit := range []string{backends.LimitDiskRead, backends.LimitDiskWrite} {
		if d.WhyNot(limit) == nil {
			names = append(names, limit)
		}
	}
	return append(names, homes.ByGroups()...)
}

// effective are the limits that hold where l is asked for, so that two can be compared. How many files it may have only counts
// where asked says so; of the disk conflictsOfDisk knows.
func effective(l, asked sandbox.Limits) sandbox.Limits {
	e := homes.Effective(l)
	if asked.Files != 0 {
		e.Files = l.Files
	}
	return e
}
