package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// leave leaves the machine's tree for a root in which there is nothing but the way to gVisor, by its old name: this process hears from
// gVisor, which may have been broken into, and is to see no file of the machine then. gVisor's own processes have left it already, in
// mount namespaces of their own.
func leave() error {
	way := ownDir + stateDir
	if err := os.MkdirAll(way, 0o755); err != nil {
		return err
	}
	for _, m := range [][2]string{{ownDir, ownDir}, {stateDir, way}} {
		if err := unix.Mount(m[0], m[1], "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", m[1], err)
		}
	}
	if err := unix.Chdir(ownDir); err != nil {
		return os.NewSyscallError("chdir", err)
	}
	// "." over "." puts the old root on top of the new one, from where it is taken: see pivot_root(2).
	if err := unix.PivotRoot(".", "."); err != nil {
		return os.NewSyscallError("pivot_root", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the machine's tree: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
		return fmt.Errorf("make the root read-only: %w", err)
	}
	return os.Chdir("/")
}
