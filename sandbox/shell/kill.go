package shell

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// killLimit is how long processes that have been sent SIGKILL are waited for: they end at once, unless the kernel holds them
// in an operation that cannot be interrupted.
const killLimit = 10 * time.Second

// A process is one line of the process table.
type process struct {
	pid, parent, group, session int
	state                       byte
	start                       uint64
}

// Started is when process pid started, in the kernel's clock ticks since boot: together with pid, it names a process
// for ever.
func Started(pid int) (uint64, error) {
	p, err := readProcess(pid)
	return p.start, err
}

// KillSession kills every process of session sid, whose leader started at started (see Started; 0 if not known), and the
// leader's descendants in other sessions, and waits until none is left. A session that is another's by now, for process
// ids are used again, is left alone.
func KillSession(sid int, started uint64) error {
	if started != 0 {
		if p, err := readProcess(sid); err == nil && p.start != started {
			return nil
		}
	}
	until := time.Now().Add(killLimit)
	sessions := map[int]bool{sid: true}
	for {
		left, err := killOnce(sid, sessions)
		if err != nil || left == 0 {
			return err
		}
		if time.Now().After(until) {
			return fmt.Errorf("session %d: process %d outlives SIGKILL", sid, left)
		}
		awaitExit(left)
	}
}

// killOnce kills all there is of sessions, to which it adds those that descendants of leader have made, and gives one
// of the processes killed; 0 if there was none.
func killOnce(leader int, sessions map[int]bool) (left int, err error) {
	table, err := processes()
	if err != nil {
		return 0, err
	}
	mine := map[int]bool{leader: true}
	for more := true; more; {
		more = false
		for _, p := range table {
			if mine[p.parent] && !mine[p.pid] && p.pid != os.Getpid() {
				mine[p.pid], more = true, true
			}
		}
	}
	for _, p := range table {
		if mine[p.pid] && mine[p.session] {
			sessions[p.session] = true
		}
	}
	groups := map[int]bool{}
	for _, p := range table {
		if !sessions[p.session] && !mine[p.pid] || p.state == 'Z' || p.state == 'X' {
			continue
		}
		left = p.pid
		if sessions[p.session] && !groups[p.group] {
			// The whole group at once: a process cannot fork out of the way of that.
			groups[p.group] = true
			_ = unix.Kill(-p.group, unix.SIGKILL)
		}
		_ = unix.Kill(p.pid, unix.SIGKILL)
	}
	return left, nil
}

// awaitExit waits until pid has exited, but not for long: others may have been started meanwhile.
func awaitExit(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		if errors.Is(err, unix.ENOSYS) {
			time.Sleep(time.Millisecond) // a kernel without pidfd gives no event to wait for
		}
		return
	}
	defer unix.Close(fd)
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
}

// processes lists all processes that can be seen.
func processes() ([]process, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	table := make([]process, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if p, err := readProcess(pid); err == nil { // it may have ended meanwhile
				table = append(table, p)
			}
		}
	}
	return table, nil
}

func readProcess(pid int) (process, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, err
	}
	// pid (name) state ppid pgrp session …; the name may hold anything, so count from its end.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 20 {
		return process{}, fmt.Errorf("process %d: odd stat", pid)
	}
	start, err := strconv.ParseUint(string(f[19]), 10, 64)
	return process{pid: pid, state: f[0][0], parent: number(f[1]), group: number(f[2]), session: number(f[3]), start: start}, err
}
