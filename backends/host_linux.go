package backends

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// thisHost asks the kernel, which takes some 0.1 ms. dir need not exist.
func thisHost(dir string) (Host, error) {
	h := bounds()
	meminfo, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return h, err
	}
	h.Memory, h.FreeMemory = field(meminfo, "MemTotal:")<<10, field(meminfo, "MemAvailable:")<<10
	if l := bounded().memory; l.max > 0 && l.max < h.Memory {
		h.Memory, h.FreeMemory = l.max, min(h.FreeMemory, l.max-number(l.current))
	}
	var disk unix.Statfs_t
	for err = unix.Statfs(dir, &disk); err == unix.ENOENT && dir != parent(dir); err = unix.Statfs(dir, &disk) {
		dir = parent(dir)
	}
	if err != nil {
		return h, os.NewSyscallError("statfs", err)
	}
	h.Disk, h.FreeDisk = int64(disk.Blocks)*disk.Bsize, int64(disk.Bavail)*disk.Bsize
	threads, err := threads()
	if err != nil {
		return h, err
	}
	h.FreeProcesses = h.Processes - threads
	if l := bounded().pids; l.max > 0 && l.max < h.Processes {
		h.Processes, h.FreeProcesses = l.max, min(h.FreeProcesses, l.max-number(l.current))
	}
	h.FreeDescriptors = h.Descriptors - descriptors()
	return h, nil
}

func parent(dir string) string {
	if i := strings.LastIndexByte(dir, '/'); i > 0 {
		return dir[:i]
	}
	return "/"
}

// bounds are those that do not change: how many processes the kernel can number and remember, and the descriptors of this
// process.
var bounds = sync.OnceValue(func() Host {
	h := Host{Processes: math.MaxInt64}
	for _, name := range []string{"/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"} {
		if n := number(name); n > 0 {
			h.Processes = min(h.Processes, n)
		}
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil && limit.Cur < math.MaxInt64 {
		h.Descriptors = int64(limit.Cur)
	}
	return h
})

// threads is how many there are on the host: the fourth field of /proc/loadavg, "runnable/all".
func threads() (int64, error) {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, err
	}
	if f := strings.Fields(string(b)); len(f) > 3 {
		_, all, _ := strings.Cut(f[3], "/")
		if n, err := strconv.ParseInt(all, 10, 64); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("/proc/loadavg: %q", b)
}

// descriptors is how many this process has open. Since Linux 6.2 that is the size of the directory.
func descriptors() int64 {
	const dir = "/proc/self/fd"
	if info, err := os.Stat(dir); err == nil && info.Size() > 0 {
		return info.Size()
	}
	entries, _ := os.ReadDir(dir)
	return int64(len(entries))
}

// bound is a limit of the control group that this process sees as the topmost, as in a container.
type bound struct {
	max     int64  // 0 is none
	current string // the file that tells what is used of it
}

// bounded looks once: limits of a running container seldom change, and each look costs as much as all the rest.
var bounded = sync.OnceValue(func() (b struct{ memory, pids bound }) {
	const root = "/sys/fs/cgroup/" // version 2, else version 1
	b.memory = bound{number(root + "memory.max"), root + "memory.current"}
	if b.memory.max == 0 {
		b.memory = bound{number(root + "memory/memory.limit_in_bytes"), root + "memory/memory.usage_in_bytes"}
	}
	b.pids = bound{number(root + "pids.max"), root + "pids.current"}
	if b.pids.max == 0 {
		b.pids = bound{number(root + "pids/pids.max"), root + "pids/pids.current"}
	}
	return b
})

func number(file string) int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64) // "max" is none
	return n
}

func field(b []byte, name string) int64 {
	_, rest, _ := strings.Cut(string(b), name)
	line, _, _ := strings.Cut(rest, "\n")
	f := strings.Fields(line)
	if len(f) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(f[0], 10, 64)
	return n
}
