package main

import (
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// letGo closes the descriptors that whoever started us had open without wanting us to have them: a server that lives for
// days would keep, say, the pipe of a CI job open for as long, and all that it starts would too. All that Go opens is
// closed on exec; what is not was inherited. keep, and those that an argument names as /dev/fd/N, were handed down on
// purpose and are only kept from our children.
func letGo(args []string, keep int) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return // no /proc: then they stay
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= 2 {
			continue
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		switch {
		case err != nil || flags&unix.FD_CLOEXEC != 0:
		case fd == keep || slices.Contains(args, "/dev/fd/"+e.Name()):
			unix.CloseOnExec(fd)
		default:
			unix.Close(fd)
		}
	}
}
