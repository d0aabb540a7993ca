package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A memoryWatch knows how often the kernel has killed a process of the sandbox for want of memory. The kernel counts that
// per cgroup; where there is none with the memory controller, for the whole machine, which proves nothing about a single
// process and is told as such.
type memoryWatch struct {
	path  string // of the file with the counter; "" if there is none
	exact bool   // it counts this sandbox alone
	limit string // file with the bound in bytes; "" if there is none

	mu    sync.Mutex
	first uint64    // count at the start
	seen  uint64    // count at the last look
	at    time.Time // of the latest kill that was seen
}

// newMemoryWatch looks where the kills of what runs in the cgroup are counted; "" is the one of this process.
func newMemoryWatch(cgroup string) *memoryWatch {
	own, _ := os.ReadFile("/proc/self/cgroup")
	for _, dir := range memoryGroups(cgroup, string(own)) {
		for _, file := range [][2]string{{"memory.events", "memory.max"}, {"memory.oom_control", "memory.limit_in_bytes"}} {
			w := &memoryWatch{path: filepath.Join(dir, file[0]), exact: true, limit: filepath.Join(dir, file[1])}
			if n, ok := w.count(); ok {
				w.first, w.seen = n, n
				return w
			}
		}
	}
	w := &memoryWatch{path: "/proc/vmstat"}
	n, ok := w.count()
	if !ok {
		return &memoryWatch{}
	}
	w.first, w.seen = n, n
	return w
}

// memoryGroups are the directories of the cgroups that may count, the closest first. own is /proc/self/cgroup.
func memoryGroups(cgroup, own string) (dirs []string) {
	const root = "/sys/fs/cgroup"
	if cgroup != "" {
		dirs = append(dirs, cgroup)
	}
	for line := range strings.Lines(own) { // hierarchy:controllers:path
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) < 3 {
			continue
		}
		hierarchy := ""
		switch {
		case f[1] == "": // version 2
		case strings.Contains(","+f[1]+",", ",memory,"):
			hierarchy = "memory"
		default:
			continue
		}
		// In a container the path may be the host's, and the container's own group is mounted as the root.
		dirs = append(dirs, filepath.Join(root, hierarchy, f[2]), filepath.Join(root, hierarchy))
	}
	return dirs
}

// count reads the counter.
func (w *memoryWatch) count() (uint64, bool) {
	b, err := os.ReadFile(w.path)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// struckSince says whether the kernel has killed one of the sandbox's processes since a time, whoever has noticed it first.
func (w *memoryWatch) struckSince(begin time.Time) bool {
	w.struck()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.exact && w.at.After(begin)
}

// struck says whether the kernel has killed since the last look, in words for those whose action it may have been.
func (w *memoryWatch) struck() (string, bool) {
	if w.path == "" {
		return "", false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	n, ok := w.count()
	if !ok || n <= w.seen {
		return "", false
	}
	killed := n - w.seen
	w.seen, w.at = n, time.Now()
	if !w.exact {
		return "Meanwhile the kernel has killed something on this machine for want of memory, which may have been part of this.", true
	}
	return fmt.Sprintf("The kernel has killed %d of the sandbox's processes for want of memory: use less, or ask for a sandbox with more.", killed), true
}

// killed is how many processes of the sandbox were killed since the start, as far as can be known.
func (w *memoryWatch) killed() uint64 {
	if n, ok := w.count(); ok && w.exact && n > w.first {
		return n - w.first
	}
	return 0
}

// bound is how many bytes programs may have together; 0 if there is no bound.
func (w *memoryWatch) bound() uint64 {
	b, err := os.ReadFile(w.limit)
	n, err2 := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || err2 != nil || n >= 1<<60 { // "max", or version 1's way to say so
		return 0
	}
	return n
}

// trouble is what there is to say of kills so far; "" if nothing.
func (w *memoryWatch) trouble() string {
	n := w.killed()
	if n == 0 {
		return ""
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	text := fmt.Sprintf("out of memory: the kernel has killed %d of the sandbox's processes", n)
	if !w.at.IsZero() {
		text += ", which was noticed last at " + w.at.UTC().Format(time.RFC3339)
	}
	return text
}
