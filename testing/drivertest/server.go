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
	out := strings.Fields(w.run(s, "echo $SANDBOXD_PID; readlink /proc/self/ns/pid; cat /proc/sys/kernel/random/boot_id"))
	if len(out) != 3 || out[0] != "1" || out[2] != bootID() {
		return 0
	}
	namespaces, _ := filepath.Glob("/proc/[0-9]*/ns/pid")
	for _, path := range namespaces {
		if ns, err := os.Readlink(path); err != nil || ns != out[1] {
			continue
		}
		pid := strings.Split(path, "/")[2]
		status, _ := os.ReadFile("/proc/" + pid + "/status")
		for line := range strings.Lines(string(status)) {
			numbers := strings.Fields(line)
			if len(numbers) > 1 && numbers[0] == "NSpid:" && slices.Index(numbers[1:], "1") == len(numbers)-2 {
				n, _ := strconv.Atoi(pid)
				return n
			}
		}
	}
	return 0
}

// signal sends a signal to the process that server has given.
func (w *world) signal(pid int, sig syscall.Signal) {
	w.t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		w.t.Errorf("signal %v to process %d: %v", sig, pid, err)
	}
}
