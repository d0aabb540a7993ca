package gvisor_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// TestKilledParts kills each of the processes that a sandbox is made of. It is seen by whoever waits, nothing of the rest is
// left, and the next start revives the sandbox.
func TestKilledParts(t *testing.T) {
	dir := t.TempDir()
	b := backends.Open("gvisor", open(t, dir), backends.Config{})
	ends(t, b, "x")
	for n, part := range []string{"runsc-sandbox", "runsc-gofer", "sandtree-gvisor"} {
		s := began(t, b, sandbox.Spec{ID: "x"})
		run(t, s, fmt.Sprintf("sleep 10002%d & echo %d >>file", n, n))
		pid := companion(t, dir, "x")
		all := parts(t, pid)
		victim := 0
		for p, command := range all {
			if strings.HasPrefix(command, part) || p == pid && part == "sandtree-gvisor" {
				victim = p
			}
		}
		if victim == 0 {
			t.Fatalf("%s is not among %v", part, all)
		}
		if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		killed := time.Now()
		exit, err := s.Wait(t.Context())
		if err != nil || exit.Code == 0 && exit.Signal == 0 && exit.Reason == "" || exit.Memory {
			t.Errorf("%s was killed: %+v, %v", part, exit, err)
		}
		t.Logf("%s was killed: %v, seen after %v", part, exit, time.Since(killed))
		for p, command := range all { // the kernel has ended them before their first
			if now, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p)); err == nil && len(now) > 0 && string(now) == command {
				t.Errorf("%s was killed, and %d is left: %q", part, p, now)
			}
		}
		if l, err := b.List(t.Context(), ""); err != nil || len(l) != 1 || !l[0].Exited {
			t.Errorf("%s was killed: listed are %+v, %v", part, l, err)
		}
	}
	if got := run(t, began(t, b, sandbox.Spec{ID: "x"}), "cat file"); got != "0\n1\n2" {
		t.Errorf("revived three times, it has %q", got)
	}
}

// parts are the processes in the control group of a companion, with their command lines.
func parts(t *testing.T, pid int) map[int]string {
	t.Helper()
	mine, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	all := map[int]string{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if group, _ := os.ReadFile(filepath.Join(dir, "cgroup")); !bytes.Equal(group, mine) {
			continue
		}
		p, _ := strconv.Atoi(filepath.Base(dir))
		command, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		all[p] = string(command)
	}
	return all
}
