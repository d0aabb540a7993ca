package main

import "golang.org/x/sys/unix"

const (
	auditArch    = unix.AUDIT_ARCH_AARCH64
	otherNumbers = 0 // there are no others of the kind
)

// olderModes are those that only some processors have.
var olderModes = map[uint32]uint32{}
