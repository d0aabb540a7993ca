package gvisor_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/limitstest"
	"github.com/sandtree/sandtree/testing/need"
)

func TestLimits(t *testing.T) {
	need.GVisor(t)
	limitstest.Run(t, func(t *testing.T) backends.Driver { return open(t, t.TempDir()) },
		backends.LimitCPU, backends.LimitAffinity, backends.LimitMemory)
}

// begun starts a sandbox with limits, and gives the number of its companion.
func begun(t *testing.T, l sandbox.Limits) (*backends.Sandbox, int) {
	t.Helper()
	dir := t.TempDir()
	b := backends.Open("gvisor", open(t, dir), backends.Config{})
	ends(t, b, "x")
	return began(t, b, sandbox.Spec{ID: "x", Limits: l}), companion(t, dir, "x")
}

// TestCPU lets two programs loop, of which one core would be too little, and looks at what the machine has counted. More than
// its share a sandbox never gets; less it may, where others want the machine too.
func TestCPU(t *testing.T) {
	need.GVisor(t)
	need.Cgroup(t)
	const cores = 0.5
	s, pid := begun(t, sandbox.Limits{CPU: cores})
	run(t, s, `for i in 1 2; do sh -c 'while :; do :; done' & done`)
	before, start := used(t, pid), time.Now()
	time.Sleep(3 * time.Second) // what is measured
	got, took := used(t, pid)-before, time.Since(start)
	// A period of the scheduler more at each end.
	if got == 0 || got > time.Duration(1.1*cores*float64(took))+200*time.Millisecond {
		t.Errorf("it used %v in %v, which is %.3g cores, want %g", got, took, got.Seconds()/took.Seconds(), cores)
	}
}

// used is what the living processes in the control group of a companion have used of the machine's processors.
func used(t *testing.T, pid int) (sum time.Duration) {
	t.Helper()
	mine, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range all {
		group, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		stat, _ := os.ReadFile(filepath.Join(dir, "stat"))
		_, rest, ok := strings.Cut(string(stat), ") ")
		if f := strings.Fields(rest); ok && len(f) > 12 && string(group) == string(mine) {
			user, _ := strconv.Atoi(f[11])
			system, _ := strconv.Atoi(f[12])
			sum += time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100 everywhere
		}
	}
	return sum
}

// TestAffinity looks where the machine lets a sandbox run; what that sees of it has numbers of its own.
func TestAffinity(t *testing.T) {
	need.GVisor(t)
	need.Cgroup(t)
	s, pid := begun(t, sandbox.Limits{Affinity: "0"})
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil || !strings.Contains(string(status), "\nCpus_allowed_list:\t0\n") {
		t.Errorf("it may run elsewhere than on CPU 0: %v\n%s", err, status)
	}
	if got := run(t, s, "nproc"); got != "1" {
		t.Errorf("it believes to have %s processors", got)
	}
}

// TestMemory takes more than there is. All that a sandbox is made of counts, and has one memory: it ends with it, and that is
// what is said of it.
func TestMemory(t *testing.T) {
	need.GVisor(t)
	need.Cgroup(t)
	s, _ := begun(t, sandbox.Limits{Memory: 128 << 20})
	if got := run(t, s, `dd if=/dev/zero of=/dev/null bs=64M count=2 2>&1 | tail -1`); !strings.Contains(got, "copied") {
		t.Errorf("64 MiB of 128: %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var doing sync.WaitGroup
	doing.Go(func() { // its answer cannot come
		s.Do(ctx, sandbox.Action{Args: sandbox.RunArgs{Command: `dd if=/dev/zero of=/dev/null bs=600M count=2`, Blocking: true}}, nil)
	})
	defer doing.Wait()
	defer cancel()
	if exit, err := s.Wait(t.Context()); err != nil || !exit.Memory {
		t.Errorf("600 MiB of 128: it ended with %+v, %v", exit, err)
	}
}
