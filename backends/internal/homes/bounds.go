package homes

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/sandbox"
)

// LeastMemory is what a server needs to serve at all, in bytes. Below, the kernel refuses the limit, or ends the server.
const LeastMemory = 4 << 20

// checkBounds refuses limits that no control group of this machine can have, which would else fail as often as a start is tried. Code: Invalid.
func checkBounds(spec sandbox.Spec) error {
	refuse := func(field string, err error) error {
		return &sandbox.Error{Code: sandbox.Invalid, Op: field, ID: spec.ID, Err: err}
	}
	l := spec.Limits
	if Tree().Has(cgroup.Memory) && l.Memory > 0 && l.Memory < LeastMemory {
		return refuse("limits.memory", fmt.Errorf("want at least %d bytes, have %d", LeastMemory, l.Memory))
	}
	if Tree().Has(cgroup.CPUSet) && l.Affinity != "" {
		if err := online(l.Affinity); err != nil {
			return refuse("limits.affinity", err)
		}
	}
	return nil
}

// online says which of the CPUs of a list this machine does not have. Version 2 of control groups would take them, and use others.
func online(list string) error {
	const most = 1 << 16
	b, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return nil // the kernel decides
	}
	text := strings.TrimSpace(string(b))
	have, err := sandbox.ParseRanges(text, 0, most)
	want, err2 := sandbox.ParseRanges(list, 0, most)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	for _, r := range want {
		for cpu := r.First; cpu <= r.Last; cpu++ {
			if !sandbox.Has(have, cpu) {
				return fmt.Errorf("this machine has no CPU %d: it has %s", cpu, text)
			}
		}
	}
	return nil
}
