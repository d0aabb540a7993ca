package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Group is one control group in every hierarchy of a tree that it needs.
type Group struct {
	dirs map[string]string // by controller
}

// Group gives the group of that name, of those controllers that the tree has and want names; it may not exist. A name that
// is no file's, as "", is that of a group without directories: the tree itself has the groups of everybody in it.
func (t Tree) Group(name string, want ...string) Group {
	g := Group{dirs: map[string]string{}}
	if name == "" || name == "." || name == ".." || strings.Contains(name, "/") {
		return g
	}
	for _, c := range want {
		if above, ok := t[c]; ok {
			g.dirs[c] = filepath.Join(above, name)
		}
	}
	return g
}

// Dir gives the group's directory in the hierarchy of a controller; "" if it has none.
func (g Group) Dir(controller string) string { return g.dirs[controller] }

// Dirs gives its directories, each once.
func (g Group) Dirs() []string {
	var dirs []string
	for _, d := range g.dirs {
		if !slices.Contains(dirs, d) {
			dirs = append(dirs, d)
		}
	}
	slices.Sort(dirs)
	return dirs
}

// Limits are what a group bounds. Zero leaves a bound to the kernel.
type Limits struct {
	Processes  int     // processes and threads
	CPU        float64 // cores
	CPUShares  int     // weight, as version 1 has it: 2 to 262144, of which 1024 is usual
	Affinity   string  // CPUs, as in "0-3,7"
	Memory     int64   // bytes
	Swap       int64   // bytes besides, if Memory is not 0; negative is any number
	Swappiness int     // 1 to 100; only version 1
	Reads      int64   // bytes/s of each of Disks
	Writes     int64   // the same; version 1 bounds only what goes around the page cache
	Disks      string  // their numbers, "254:0 8:16"
}

// period is over which the kernel measures the share of a processor, in microseconds: its own default.
const period = 100_000

// setting is one file of a group and what is written into it; alt is that of version 2.
type setting struct {
	controller string
	file, alt  string
	value      string
	altValue   string
	optional   bool // a kernel may be built without it
}

func (l Limits) settings() []setting {
	var s []setting
	add := func(controller, file, value, alt, altValue string, optional bool) {
		s = append(s, setting{controller, file, alt, value, altValue, optional})
	}
	if l.Processes > 0 {
		n := strconv.Itoa(l.Processes)
		add(PIDs, "pids.max", n, "pids.max", n, false)
	}
	if l.CPU > 0 {
		quota := strconv.Itoa(max(1000, int(l.CPU*period))) // the kernel takes no less than a millisecond
		add(CPU, "cpu.cfs_quota_us", quota, "cpu.max", quota+" "+strconv.Itoa(period), false)
	}
	if l.CPUShares > 0 {
		weight := 1 + (l.CPUShares-2)*9999/262142 // as systemd and runc translate it
		add(CPU, "cpu.shares", strconv.Itoa(l.CPUShares), "cpu.weight", strconv.Itoa(weight), false)
	}
	if l.Affinity != "" {
		add(CPUSet, "cpuset.cpus", l.Affinity, "cpuset.cpus", l.Affinity, false)
	}
	if l.Memory > 0 {
		bytes := strconv.FormatInt(l.Memory, 10)
		add(Memory, "memory.limit_in_bytes", bytes, "memory.max", bytes, false)
		if l.Swap >= 0 { // a kernel that does not account for swap may have none
			both := strconv.FormatInt(l.Memory+l.Swap, 10)
			add(Memory, "memory.memsw.limit_in_bytes", both, "memory.swap.max", strconv.FormatInt(l.Swap, 10), true)
		}
	}
	for d := range strings.FieldsSeq(l.Disks) {
		if l.Reads > 0 {
			n := strconv.FormatInt(l.Reads, 10)
			add(IO, "blkio.throttle.read_bps_device", d+" "+n, "io.max", d+" rbps="+n, false)
		}
		if l.Writes > 0 {
			n := strconv.FormatInt(l.Writes, 10)
			add(IO, "blkio.throttle.write_bps_device", d+" "+n, "io.max", d+" wbps="+n, false)
		}
	}
	if l.Swappiness > 0 {
		add(Memory, "memory.swappiness", strconv.Itoa(l.Swappiness), "", "", false)
	}
	return s
}

// Make makes the group, with limits. One that exists is given them.
func (g Group) Make(l Limits) error {
	for _, dir := range g.Dirs() {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make a control group: %w", err)
		}
	}
	if dir := g.dirs[CPUSet]; dir != "" && !unified(dir) {
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if err := inherit(filepath.Dir(dir), dir, file); err != nil {
				return err
			}
		}
	}
	for _, s := range l.settings() {
		dir := g.dirs[s.controller]
		if dir == "" {
			continue
		}
		file, value := s.file, s.value
		if unified(dir) {
			file, value = s.alt, s.altValue
		}
		if err := write(dir, file, value); err != nil && !(s.optional && errors.Is(err, fs.ErrNotExist)) {
			return fmt.Errorf("%s = %s: %w", file, value, err)
		}
	}
	return nil
}

func unified(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "tasks"))
	return errors.Is(err, fs.ErrNotExist)
}

// Start calls start so that the process which it starts, with attr, is born in the group, as the function Start does for
// one directory. start may be called twice.
func (g Group) Start(attr *syscall.SysProcAttr, start func() (pid int, err error)) error {
	var threaded []string
	whole := ""
	for _, dir := range g.Dirs() {
		if unified(dir) {
			whole = dir
		} else {
			threaded = append(threaded, dir)
		}
	}
	if len(threaded) == 0 {
		return Start(whole, attr, start)
	}
	var err error
	onItsOwnThread(func() {
		for _, dir := range threaded {
			if err = write(dir, "tasks", "0"); err != nil { // 0 is the thread that writes
				break
			}
		}
		if err == nil {
			err = Start(whole, attr, start)
		}
		// The thread ends a little later. Meanwhile this process must not be found where processes are looked for to be
		// killed; what else the thread is bounded by does not matter.
		if dir := g.dirs[PIDs]; dir != "" && !unified(dir) {
			err = errors.Join(err, write(top(dir), "tasks", "0"))
		}
	})
	return err
}

// Remove removes the group, which must have no processes. One that is not there is no error.
func (g Group) Remove() error {
	var errs []error
	for _, dir := range g.Dirs() {
		errs = append(errs, Remove(dir))
	}
	return errors.Join(errs...)
}

// Freeze stops all that is in the group where it is, or lets it go on, and returns when that is so. Without a freezer it is
// ENOTSUP.
func (g Group) Freeze(ctx context.Context, frozen bool) error {
	dir := g.dirs[Freezer]
	if dir == "" {
		return unix.ENOTSUP
	}
	file, value, state, want := "freezer.state", "THAWED", "freezer.state", "THAWED"
	if frozen {
		value, want = "FROZEN", "FROZEN"
	}
	if unified(dir) {
		file, value, state, want = "cgroup.freeze", "0", "cgroup.events", "frozen 0"
		if frozen {
			value, want = "1", "frozen 1"
		}
	}
	if err := write(dir, file, value); err != nil {
		return err
	}
	for pause := 50 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) { // version 1 has no event for it
		b, err := os.ReadFile(filepath.Join(dir, state))
		if err != nil {
			return err
		}
		if slices.Contains(strings.Split(strings.TrimSpace(string(b)), "\n"), want) {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("the kernel has not frozen all processes: %w", context.Cause(ctx))
		}
	}
}

// OOMKills is how many processes of the group the kernel has killed for want of memory; 0 if it does not count.
func (g Group) OOMKills() uint64 {
	dir := g.dirs[Memory]
	if dir == "" {
		return 0
	}
	file := "memory.oom_control"
	if unified(dir) {
		file = "memory.events"
	}
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.ParseUint(strings.TrimSpace(v), 10, 64)
			return n
		}
	}
	return 0
}
