package main

import "golang.org/x/sys/unix"

const (
	auditArch    = unix.AUDIT_ARCH_X86_64
	otherNumbers = 0x40000000 // set in those of the x32 kind
)

// olderModes are those that only some processors have. Of open, as of openat, the mode counts only if a file is made; nobody
// sets these bits otherwise.
var olderModes = map[uint32]uint32{unix.SYS_CHMOD: 1, unix.SYS_MKDIR: 1, unix.SYS_MKNOD: 1, unix.SYS_CREAT: 1, unix.SYS_OPEN: 2}
