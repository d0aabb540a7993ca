package main

import (
	"log/slog"
	"os"

	"golang.org/x/sys/unix"
)

// hideMemory keeps the programs of a container from this process' memory, in which the key is, when it is the container's first
// process: they may have its user, who can otherwise trace it. Elsewhere a developer may want to do that.
func hideMemory(log *slog.Logger) {
	if os.Getpid() != 1 {
		return
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		log.Warn("programs can read this process' memory", "err", err)
	}
}
