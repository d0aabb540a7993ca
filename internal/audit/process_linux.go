package audit

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/sandbox"
)

func itoa(n int) string { return strconv.Itoa(n) }

// process tells whose thread it is, as the sandbox sees it; nil if that cannot be told any more.
func (k *keeper) process(thread int) *sandbox.AuditProcess {
	s, ok := readStatus(thread)
	if !ok {
		return nil
	}
	p := &sandbox.AuditProcess{PID: s.inside, UID: k.inside(s.uid)}
	// Its parent's number is the keeper's own kind, too. One with no number in a namespace of its own is outside.
	if parent, ok := readStatus(s.parent); ok && parent.depth >= s.depth {
		p.PPID = parent.inside
	}
	return p
}

// status is what is needed of /proc/PID/status. See proc_pid_status(5).
type status struct {
	parent, uid int
	inside      int // the number of the process in the innermost namespace
	depth       int // of the namespace
}

func readStatus(pid int) (s status, ok bool) {
	fd, err := unix.Open("/proc/"+itoa(pid)+"/status", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return s, false
	}
	defer unix.Close(fd)
	var b [2048]byte // of which the lines that are wanted are in the first kilobyte: a process may be in 32 namespaces at most
	n, err := unix.Read(fd, b[:])
	if err != nil || n <= 0 {
		return s, false
	}
	for line := range strings.Lines(string(b[:n])) {
		name, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		if len(fields) == 0 {
			continue
		}
		switch name {
		case "PPid":
			s.parent, _ = strconv.Atoi(fields[0])
		case "Uid":
			s.uid, _ = strconv.Atoi(fields[0])
		case "NStgid":
			s.inside, _ = strconv.Atoi(fields[len(fields)-1])
			s.depth = len(fields)
			return s, true
		}
	}
	return s, false
}

// inside gives a user number as the sandbox has it; -1 if it has none.
func (k *keeper) inside(uid int) int {
	for _, m := range k.config.IDs {
		if uid >= m.Outside && uid < m.Outside+m.Size {
			return m.Inside + uid - m.Outside
		}
	}
	return -1
}

// missing says whether there is nothing at a path of the thread's file system, as far as that can be told. Nothing is opened but
// the name, and no link leads out of there.
func missing(thread int, path string) bool {
	root, err := unix.Open("/proc/"+itoa(thread)+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, strings.TrimLeft(path, "/"), &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err == nil {
		unix.Close(fd)
	}
	return err == unix.ENOENT || err == unix.ENOTDIR
}
