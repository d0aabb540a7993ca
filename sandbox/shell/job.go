package shell

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// job is the group of a child of bash, other than its own, where the terminal does not tell whose it is: gVisor tells nobody outside of the
// terminal's session. 0 is none. It may be one in the background; so this is for when nothing else explains what bash does.
func (b *bash) job() int {
	b.mu.Lock()
	told := b.closed || b.piped
	if !told {
		_, err := unix.IoctlGetInt(b.tty, unix.TIOCGPGRP)
		told = err == nil
	}
	b.mu.Unlock()
	if told {
		return 0
	}
	pid := strconv.Itoa(b.pid)
	children, _ := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	for _, field := range bytes.Fields(children) {
		child, err := strconv.Atoi(string(field))
		if err != nil {
			continue
		}
		if group, err := unix.Getpgid(child); err == nil && group != b.pid && fateOf(child) != ended {
			return group
		}
	}
	return 0
}
