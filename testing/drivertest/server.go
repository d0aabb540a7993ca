package drivertest

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/sandtree/sandtree/backends"
)

// server is the number that this machine has for the server of a sandbox which is process 1 to those in it: no signal
// that they send reaches it. 0 if it is not, or this machine does not see it.
func (w *world) server(s *backends.Sandbox) int {
	w.t.Helper()
	out := strings.Fields(w.run(s, "echo $SANDBOXD_PID; readlink /proc/self/ns/pid; cat /proc/sys/kernel/random/boot_id; cat /proc/1/stat"))
	if len(out) < 4 || out[0] != "1" || out[2] != bootID() {
		return 0
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range processes {
		// Of a process that guards itself only root is told the namespace; when it began is told to all.
		if ns, err := os.Readlink(dir + "/ns/pid"); err == nil && ns != out[1] {
			continue
		}
		stat, _ := os.ReadFile(dir + "/stat")
		if began(string(stat)) != began(strings.Join(out[3:], " ")) {
			continue
		}
		status, _ := os.ReadFile(dir + "/status")
		for line := range strings.Lines(string(status)) {
			numbers := strings.Fields(line)
			if len(numbers) > 1 && numbers[0] == "NSpid:" && slices.Index(numbers[1:], "1") == len(numbers)-2 {
				n, _ := strconv.Atoi(filepath.Base(dir))
				return n
			}
		}
	}
	return 0
}

// began is when a process did, in ticks of the machine's clock, by its /proc/PID/stat.
func began(stat string) string {
	_, rest, _ := strings.Cut(stat, ") ")
	fields := strings.Fields(rest)
	const at = 22 - 3 // proc_pid_stat(5) counts from 1, and these begin with the third
	if len(fields) <= at {
		return ""
	}
	return fields[at]
}

// signal sends a signal to the process that server has given.
func (w *world) signal(pid int, sig syscall.Signal) {
	w.t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		w.t.Errorf("signal %v to process %d: %v", sig, pid, err)
	}
}
