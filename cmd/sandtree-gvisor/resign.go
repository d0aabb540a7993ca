package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// resign makes this process the sandbox's own root, who is nobody on the machine, with no capability, for good: it has only to
// wait from here on, and hears from gVisor, which may have been broken into. It keeps the way by which it speaks to it.
func (o *order) resign() error {
	id := int(o.outside(0))
	err := filepath.WalkDir(stateDir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, id, id)
	})
	if err != nil {
		return err
	}
	// As of all these, on all threads, which a program that is linked with C would not do.
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); errno != 0 {
		return os.NewSyscallError("no_new_privs", errno)
	}
	if err := syscall.Setgroups(nil); err != nil {
		return os.NewSyscallError("setgroups", err)
	}
	if err := syscall.Setresgid(id, id, id); err != nil {
		return os.NewSyscallError("setresgid", err)
	}
	if err := syscall.Setresuid(id, id, id); err != nil { // by which the capabilities go
		return os.NewSyscallError("setresuid", err)
	}
	if id == 0 || unix.Geteuid() != id || os.Getuid() != id {
		return fmt.Errorf("the sandbox's root is %d on the machine, and this is %d", id, unix.Geteuid())
	}
	return nil
}
