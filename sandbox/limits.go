package sandbox

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Limits bound what a sandbox may use. Zero is the default, where the driver can enforce it; a limit that is named is
// enforced, or the start is refused as Unsupported. A negative number means no limit.
//
// Limits of which no default is told have none: zero leaves them to the kernel and to the other limits.
type Limits struct {
	CPU         float64 `json:"cpu,omitempty"`         // cores; default 1
	CPUShares   int     `json:"cpu_shares,omitempty"`  // weight where CPU time is short, 2 to 262144; the kernel's own is 1024
	Affinity    string  `json:"affinity,omitempty"`    // CPUs to run on, as in "0-3,7"; "" is all
	Memory      int64   `json:"memory,omitempty"`      // bytes; default 2 GB
	Swap        int64   `json:"swap,omitempty"`        // bytes besides the memory; default none, so that Memory is the whole
	Swappiness  int     `json:"swappiness,omitempty"`  // 1 to 100: how soon memory is swapped out
	Disk        int64   `json:"disk,omitempty"`        // bytes; default 10 GB
	Files       int64   `json:"files,omitempty"`       // files and directories on that disk
	DiskRead    int64   `json:"disk_read,omitempty"`   // bytes/s
	DiskWrite   int64   `json:"disk_write,omitempty"`  // bytes/s
	Network     int64   `json:"network,omitempty"`     // bit/s, each way; default 100 Mbit/s
	Connections int     `json:"connections,omitempty"` // out of the sandbox, at a time; default 100
	Ports       string  `json:"ports,omitempty"`       // outside that may be connected to, as in "80,443,8000-8999"; "" is all
	Processes   int     `json:"processes,omitempty"`   // processes and threads; default 1024

	ActionTimeout time.Duration `json:"action_timeout,omitempty"` // of an action that brings none; default 600 s; nanoseconds in JSON
}

// The limits that hold where none is named and the driver can enforce them.
const (
	DefaultCPU         = 1.0         // cores
	DefaultMemory      = 2e9         // bytes
	DefaultDisk        = 10e9        // bytes
	DefaultNetwork     = 100_000_000 // bit/s
	DefaultConnections = 100
	// DefaultProcesses is enough for a parallel build, far too few to hurt a host.
	DefaultProcesses = 1024
)

// The ends of the kernel's cpu.shares.
const minShares, maxShares = 2, 1 << 18

// maxProcesses is PID_MAX_LIMIT of a 64-bit kernel.
const maxProcesses = 1 << 22

// Check says whether l makes sense by itself; the error names the limit.
func (l Limits) Check() error {
	switch {
	case math.IsNaN(l.CPU) || math.IsInf(l.CPU, 0):
		return errors.New("cpu: want a number of cores")
	case l.CPUShares != 0 && (l.CPUShares < minShares || l.CPUShares > maxShares):
		return fmt.Errorf("cpu_shares: want %d to %d, have %d", minShares, maxShares, l.CPUShares)
	case l.Swappiness < 0 || l.Swappiness > 100:
		return fmt.Errorf("swappiness: want 1 to 100, have %d", l.Swappiness)
	case l.Processes > maxProcesses:
		return fmt.Errorf("processes: want at most %d, which is all that a kernel can number", maxProcesses)
	case l.Swap > 0 && l.Memory < 0:
		return errors.New("swap: without a limit of the memory it cannot have one")
	}
	if _, err := ParseRanges(l.Affinity, 0, maxCPU); err != nil {
		return fmt.Errorf("affinity: %w", err)
	}
	if _, err := ParseRanges(l.Ports, 1, math.MaxUint16); err != nil {
		return fmt.Errorf("ports: %w", err)
	}
	return nil
}

const (
	maxCPU    = 8191 // the most that Linux is built for: CONFIG_NR_CPUS of x86 ends at 8192
	maxRanges = 256  // of one list: a list is looked through for each connection
)

// A Range is the numbers from First to Last, both of them.
type Range struct{ First, Last int }

// Has says whether n is in one of the ranges.
func Has(ranges []Range, n int) bool {
	for _, r := range ranges {
		if r.First <= n && n <= r.Last {
			return true
		}
	}
	return false
}

// ParseRanges reads a list of numbers and ranges, as in "0-3,7", each from least to most; "" is none.
func ParseRanges(list string, least, most int) ([]Range, error) {
	if list == "" {
		return nil, nil
	}
	if strings.Count(list, ",") >= maxRanges {
		return nil, fmt.Errorf("want at most %d ranges", maxRanges)
	}
	var ranges []Range
	for part := range strings.SplitSeq(list, ",") {
		first, last, two := strings.Cut(part, "-")
		if !two {
			last = first
		}
		a, err := strconv.ParseUint(first, 10, 31)
		b, err2 := strconv.ParseUint(last, 10, 31)
		if err != nil || err2 != nil || a > b || int(a) < least || int(b) > most {
			return nil, fmt.Errorf(`want numbers and ranges from %d to %d, as in "%d,%d-%d", have %.40q`, least, most, least, least+2, least+4, part)
		}
		ranges = append(ranges, Range{int(a), int(b)})
	}
	return ranges, nil
}
