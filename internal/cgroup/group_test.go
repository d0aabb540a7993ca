package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/testing/need"
)

func TestGroup(t *testing.T) {
	need.Cgroup(t)
	tree := NewTree("sandtree-cgroup-test")
	t.Cleanup(func() {
		for _, dir := range tree {
			if err := Remove(dir); err != nil {
				t.Error(err)
			}
		}
	})
	for _, c := range []string{PIDs, Memory, CPU, Freezer} {
		if !tree.Has(c) {
			t.Skipf("there are no groups with the controller %s", c)
		}
	}
	g := tree.Group("g", PIDs, Memory, CPU, CPUSet, Freezer)
	limits := Limits{Processes: 50, CPU: 0.5, CPUShares: 512, Memory: 64 << 20, Affinity: "0"}
	for range 2 { // the second time it exists
		if err := g.Make(limits); err != nil {
			t.Fatal(err)
		}
	}
	attr := &syscall.SysProcAttr{}
	cmd, start := sleeper(attr)
	if err := g.Start(attr, start); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	for _, dir := range g.Dirs() {
		got := members(t, dir)
		for until := time.Now().Add(time.Minute); len(got) > 1 && time.Now().Before(until); got = members(t, dir) {
			time.Sleep(time.Millisecond) // the thread that started it is on its way out
		}
		if len(got) != 1 {
			t.Errorf("in %s are %v", dir, got)
		}
	}
	for _, frozen := range []bool{true, true, false, false} {
		if err := g.Freeze(t.Context(), frozen); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string][2]string{"memory.limit_in_bytes": {Memory, "67108864"}, "cpu.cfs_quota_us": {CPU, "50000"}, "pids.max": {PIDs, "50"}, "cpuset.cpus": {CPUSet, "0"}} {
		dir := g.Dir(want[0])
		if dir == "" || tree.Unified(want[0]) {
			continue
		}
		if b, err := os.ReadFile(filepath.Join(dir, file)); err != nil || strings.TrimSpace(string(b)) != want[1] {
			t.Errorf("%s is %q, %v; want %s", file, b, err, want[1])
		}
	}
	if n := g.OOMKills(); n != 0 {
		t.Errorf("%d kills for want of memory", n)
	}
	cmd.Process.Kill()
	cmd.Wait()
	for range 2 {
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
	}
}

// TestNoGroup is of a user who can make none.
func TestNoGroup(t *testing.T) {
	g := Tree{}.Group("g", PIDs, Freezer)
	if err := g.Make(Limits{Processes: 1}); err != nil || g.Remove() != nil {
		t.Errorf("Make: %v", err)
	}
	if err := g.Freeze(t.Context(), true); err != unix.ENOTSUP {
		t.Errorf("Freeze: %v", err)
	}
	attr := &syscall.SysProcAttr{}
	cmd, start := sleeper(attr)
	if err := g.Start(attr, start); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Kill()
	cmd.Wait()
}

func TestSettings(t *testing.T) {
	var got []string
	for _, s := range (Limits{Processes: 7, CPU: 0.001, CPUShares: 1024, Memory: 100, Swap: 50, Swappiness: 3}).settings() {
		got = append(got, s.file+"="+s.value, s.alt+"="+s.altValue)
	}
	want := []string{"pids.max=7", "pids.max=7", "cpu.cfs_quota_us=1000", "cpu.max=1000 100000", "cpu.shares=1024", "cpu.weight=39",
		"memory.limit_in_bytes=100", "memory.max=100", "memory.memsw.limit_in_bytes=150", "memory.swap.max=50", "memory.swappiness=3", "="}
	if !slices.Equal(got, want) {
		t.Errorf("settings are %q, want %q", got, want)
	}
	if got := (Limits{Memory: 100, Swap: -1}).settings(); len(got) != 1 {
		t.Errorf("without a bound of the swap there are %v", got)
	}
}

// TestNameOfNoGroup asks for names that would lead to the groups of others. Nothing is made.
func TestNameOfNoGroup(t *testing.T) {
	tree := Tree{PIDs: t.TempDir()}
	for _, name := range []string{"", ".", "..", "a/b", "../other"} {
		g := tree.Group(name, PIDs)
		if dirs := g.Dirs(); len(dirs) > 0 {
			t.Errorf("%q is the group in %q", name, dirs)
		}
		if err := g.Remove(); err != nil {
			t.Errorf("Remove %q: %v", name, err)
		}
	}
}
