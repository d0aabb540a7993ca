package reap

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A Proc is one process as /proc shows it. PID and Start together name it for ever: a number comes again, a start does not.
type Proc struct {
	PID   int
	PPID  int
	SID   int    // its session
	Start uint64 // clock ticks since boot
	dead  bool   // it has ended and waits to be reaped
}

// name is what of a Proc does not change while it lives.
type name struct {
	pid   int
	start uint64
}

func (p Proc) name() name { return name{p.PID, p.Start} }

// Ticks is now, in the unit of Start, which is 10 ms wherever Go runs (USER_HZ).
func Ticks() uint64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t)
	return uint64(t.Nano() / (10 * time.Millisecond).Nanoseconds())
}

// Stat reads the process with that number. The error is fs.ErrNotExist if there is none.
func Stat(pid int) (Proc, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Proc{}, err
	}
	return parseStat(pid, b)
}

// parseStat reads "pid (name) state ppid pgrp session … num_threads(20) 0 starttime(22) …". The name may hold anything, so
// what counts begins after the last parenthesis.
func parseStat(pid int, b []byte) (Proc, error) {
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 20 {
		return Proc{}, fmt.Errorf("/proc/%d/stat: %d fields after the name, want 20", pid, len(f))
	}
	number := func(i int) int { n, _ := strconv.Atoi(string(f[i])); return n }
	start, err := strconv.ParseUint(string(f[19]), 10, 64)
	if err != nil {
		return Proc{}, fmt.Errorf("/proc/%d/stat: start: %w", pid, err)
	}
	p := Proc{PID: pid, PPID: number(1), SID: number(3), Start: start}
	// A zombie with threads is a process whose first thread has left: as alive as any.
	p.dead = f[0][0] == 'X' || f[0][0] == 'Z' && number(17) <= 1
	return p, nil
}

// List gives the processes that have not ended. Those that end meanwhile may be missing.
func List() ([]Proc, error) {
	all, err := list()
	live := all[:0]
	for _, p := range all {
		if !p.dead {
			live = append(live, p)
		}
	}
	return live, err
}

func list() ([]Proc, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	procs := make([]Proc, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if p, err := Stat(pid); err == nil { // else it ended meanwhile
				procs = append(procs, p)
			}
		}
	}
	return procs, nil
}

// children gives this process's children, dead ones too.
func children() ([]Proc, error) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil, err
	}
	var procs []Proc
	for _, task := range tasks { // each thread has its own children; adopted ones fall to any
		b, err := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		if errors.Is(err, os.ErrNotExist) {
			if _, err := os.Stat("/proc/self/task/" + task.Name()); err == nil {
				return childrenByParent() // a kernel without CONFIG_PROC_CHILDREN
			}
			continue
		}
		for _, field := range bytes.Fields(b) {
			if pid, err := strconv.Atoi(string(field)); err == nil {
				if p, err := Stat(pid); err == nil {
					procs = append(procs, p)
				}
			}
		}
	}
	return procs, nil
}

func childrenByParent() ([]Proc, error) {
	all, err := list()
	mine := all[:0]
	for _, p := range all {
		if p.PPID == os.Getpid() {
			mine = append(mine, p)
		}
	}
	return mine, err
}
