package compare

import (
	"fmt"
	"math"
	"strings"

	"github.com/sandtree/sandtree/bench/result"
)

// machines says in which ways two machines are not the same; "" if they are.
func machines(a, b result.Machine) string {
	var all []string
	say := func(what, a, b string) {
		if a != b {
			all = append(all, fmt.Sprintf("%s %q and %q", what, a, b))
		}
	}
	say("hosts", a.Hostname, b.Hostname)
	say("processors", a.CPU, b.CPU)
	say("cores", fmt.Sprint(a.Cores), fmt.Sprint(b.Cores))
	if math.Abs(float64(a.Memory-b.Memory)) > 0.05*float64(max(a.Memory, b.Memory)) {
		say("memory", result.Figure(float64(a.Memory), "bytes"), result.Figure(float64(b.Memory), "bytes"))
	}
	say("kernels", a.Kernel, b.Kernel)
	say("systems", a.OS, b.OS)
	return strings.Join(all, ", ")
}

// note says what must be known of the two runs.
func (c *Comparison) note(before, after *result.Report, differ string, ratios bool) {
	add := func(format string, args ...any) { c.Notes = append(c.Notes, fmt.Sprintf(format, args...)) }
	if differ != "" {
		add("the runs are of different machines: %s", differ)
	}
	for i, r := range []*result.Report{before, after} {
		for _, d := range r.Disturbed {
			add("the %s run was disturbed: %s", []string{"first", "second"}[i], d)
		}
	}
	if ratios {
		add("ratios to the floors of the same rounds are compared where there are some")
	}
	if said := c.control.note(); said != "" {
		add("%s", said)
	}
	if before.Program.Go != after.Program.Go {
		add("the programs were built with %s and %s", before.Program.Go, after.Program.Go)
	}
	if before.Target.Name != after.Target.Name {
		add("the targets are %s and %s", before.Target.Name, after.Target.Name)
	}
	if before.Name != after.Name {
		add("the sets are %s and %s", before.Name, after.Name)
	}
}
