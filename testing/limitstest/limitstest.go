// Package limitstest measures whether a driver's sandboxes keep within the limits that the driver says it enforces.
//
// It is for drivers that place sandboxes on this machine: what is measured of the network is measured against servers of
// the test, at an address of this host that the policy opens. A limit that the driver does not enforce is skipped, by
// name. Figures that another program on the machine can spoil are measured up to three times, and count if one of them
// holds: it cannot make a sandbox faster than it may be.
package limitstest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// Run tests a driver; open opens it, on a place of its own. What is measured inside a sandbox says nothing where that has a
// kernel with clocks of its own: elsewhere names the limits that the driver's own tests measure from outside.
func Run(t *testing.T, open func(t *testing.T) backends.Driver, elsewhere ...string) {
	for _, c := range []struct {
		limit string
		test  func(*world)
	}{
		{backends.LimitCPU, (*world).cpu},
		{backends.LimitAffinity, (*world).affinity},
		{backends.LimitMemory, (*world).memory},
		{backends.LimitDisk, (*world).disk},
		{backends.LimitFiles, (*world).files},
		{backends.LimitDiskWrite, (*world).diskWrite},
		{backends.LimitDiskRead, (*world).diskRead},
		{backends.LimitProcesses, (*world).processes},
		{backends.LimitNetwork, (*world).network},
		{backends.LimitConnections, (*world).connections},
		{backends.LimitPorts, (*world).ports},
		{backends.LimitEgress, (*world).egress},
	} {
		if slices.Contains(elsewhere, c.limit) {
			continue
		}
		t.Run(c.limit, func(t *testing.T) {
			w := &world{T: t, backend: backends.Open("test", open(t), backends.Config{})}
			t.Cleanup(w.end)
			if slices.Contains(w.unenforced(), c.limit) {
				t.Skip(w.backend.Supports(named[c.limit]))
			}
			c.test(w)
		})
	}
}

// patience is how long one command may take on a machine that does much else.
const patience = time.Minute

type world struct {
	*testing.T
	backend *backends.Backend
	spent   float64 // seconds of CPU, by the shell's children so far
}

func (w *world) unenforced() []string {
	var missing []string
	for _, name := range backends.LimitNames {
		if err := w.backend.Supports(named[name]); sandbox.CodeOf(err) == sandbox.Unsupported {
			missing = append(missing, name)
		}
	}
	return missing
}

// named are specs that name one limit each.
var named = map[string]sandbox.Spec{
	backends.LimitCPU:         {ID: "x", Limits: sandbox.Limits{CPU: 1}},
	backends.LimitAffinity:    {ID: "x", Limits: sandbox.Limits{Affinity: "0"}},
	backends.LimitMemory:      {ID: "x", Limits: sandbox.Limits{Memory: 1 << 30}},
	backends.LimitDisk:        {ID: "x", Limits: sandbox.Limits{Disk: 1 << 30}},
	backends.LimitFiles:       {ID: "x", Limits: sandbox.Limits{Files: 1000}},
	backends.LimitDiskWrite:   {ID: "x", Limits: sandbox.Limits{DiskWrite: 1 << 20}},
	backends.LimitDiskRead:    {ID: "x", Limits: sandbox.Limits{DiskRead: 1 << 20}},
	backends.LimitProcesses:   {ID: "x", Limits: sandbox.Limits{Processes: 100}},
	backends.LimitNetwork:     {ID: "x", Limits: sandbox.Limits{Network: 1e6}},
	backends.LimitConnections: {ID: "x", Limits: sandbox.Limits{Connections: 1}},
	backends.LimitPorts:       {ID: "x", Limits: sandbox.Limits{Ports: "80"}},
	backends.LimitEgress:      {ID: "x", Egress: sandbox.Egress{Mode: sandbox.EgressDenyAll}},
}

// end removes what the test has started.
func (w *world) end() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	left, err := w.backend.List(ctx, "")
	if err != nil {
		w.Error(err)
	}
	for _, l := range left {
		if err := w.backend.Remove(ctx, l.ID, backends.AnyEpoch, 0); err != nil {
			w.Error(err)
		}
	}
	if err := w.backend.Close(); err != nil {
		w.Error(err)
	}
}

func (w *world) start(spec sandbox.Spec) *backends.Sandbox {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	if spec.ID == "" {
		spec.ID = "limits"
	}
	s, err := w.backend.Start(ctx, spec)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { s.Close() })
	return s
}

// run gives what a command says, and its exit code.
func (w *world) run(s *backends.Sandbox, command string) (string, int) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	o, err := s.Do(ctx, sandbox.Action{Args: sandbox.RunArgs{Command: command, Blocking: true}}, nil)
	if err != nil {
		w.Fatalf("%s: %v", command, err)
	}
	r, ok := o.Result.(sandbox.RunResult)
	if !ok {
		w.Fatalf("%s: %+v", command, o)
	}
	return strings.TrimSpace(o.Content), r.Metadata.ExitCode
}

// number gives the number that a command says at its end.
func (w *world) number(s *backends.Sandbox, command string) float64 {
	w.Helper()
	out, code := w.run(s, command)
	words := strings.Fields(out)
	if len(words) == 0 {
		w.Fatalf("%s: exit %d, says nothing", command, code)
	}
	n, err := strconv.ParseFloat(words[len(words)-1], 64)
	if err != nil {
		w.Fatalf("%s: exit %d, %q", command, code, out)
	}
	return n
}

// within wants a figure that is as near to want as share says, in one of three rounds.
func (w *world) within(what string, want, share float64, measure func() float64) {
	w.Helper()
	var got []string
	for range 3 {
		n := measure()
		got = append(got, fmt.Sprintf("%.4g", n))
		if math.Abs(n-want) <= share*want {
			w.Logf("%s: %s, want %g", what, strings.Join(got, ", "), want)
			return
		}
	}
	w.Errorf("%s: %s, want %g within %g %%", what, strings.Join(got, ", "), want, share*100)
}
