package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// self identifies this process among all that will ever run on this host: boot, process namespace, number, start time
// in clock ticks. "" if the system does not tell.
var self = sync.OnceValue(func() string {
	place, err := place()
	if err != nil {
		return ""
	}
	start, err := startTime(os.Getpid())
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s %d %s", place, os.Getpid(), start)
})

// ended says whether it is certain that process, as self gave it, has ended. Of a process that runs in another
// namespace or on another host nothing is certain.
func ended(process string) bool {
	f := strings.Fields(process)
	if len(f) != 4 {
		return false
	}
	here, err := place()
	if err != nil {
		return false
	}
	if boot, _, _ := strings.Cut(here, " "); boot != f[0] {
		return false // another host, or this one before it was booted: the lease expires soon anyway
	}
	pid, err := strconv.Atoi(f[2])
	if err != nil || here != f[0]+" "+f[1] {
		return false
	}
	start, err := startTime(pid)
	if os.IsNotExist(err) { // or hidden from us, as /proc may be told to do; signals are not
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	}
	return errors.Is(err, errZombie) || err == nil && start != f[3]
}

// lives says whether it is certain that process, as self gave it, has not ended.
func lives(process string) bool {
	f := strings.Fields(process)
	here, err := place()
	if err != nil || len(f) != 4 || here != f[0]+" "+f[1] {
		return false
	}
	pid, err := strconv.Atoi(f[2])
	if err != nil {
		return false
	}
	start, err := startTime(pid)
	return err == nil && start == f[3]
}

var errZombie = errors.New("ended, but not yet waited for")

func place() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	ns, err := os.Readlink("/proc/self/ns/pid")
	return string(bytes.TrimSpace(boot)) + " " + ns, err
}

func startTime(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The name in parentheses may hold anything; the fields after it begin with the third.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 20 {
		return "", fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields)+2)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return "", errZombie
	}
	return fields[19], nil
}
