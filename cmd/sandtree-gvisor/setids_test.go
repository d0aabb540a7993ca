package main

import (
	"testing"

	"golang.org/x/sys/unix"
)

// decide runs the filter on a call, as the kernel does, of what such a filter consists of.
func decide(t *testing.T, filter []unix.SockFilter, processor, number uint32, args ...uint64) uint32 {
	t.Helper()
	var a uint32
	for at := 0; at < len(filter); at++ {
		f := filter[at]
		hit := false
		switch f.Code {
		case unix.BPF_RET | unix.BPF_K:
			return f.K
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			switch i := int(f.K) - argumentsAt; {
			case f.K == numberAt:
				a = number
			case f.K == archAt:
				a = processor
			case i >= 0 && i%8 == 0 && i/8 < len(args):
				a = uint32(args[i/8])
			default:
				a = 0
			}
			continue
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			hit = a == f.K
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K:
			hit = a&f.K != 0
		default:
			t.Fatalf("step %d is %+v", at, f)
		}
		if hit {
			at += int(f.Jt)
		} else {
			at += int(f.Jf)
		}
	}
	t.Fatal("the filter has no end")
	return 0
}

// TestSetIDFilter looks that no mode comes past the filter: not through another processor's numbers, nor through memory.
func TestSetIDFilter(t *testing.T) {
	const allow, none, no = unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS), unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	f := setIDFilter()
	for _, calls := range []map[uint32]uint32{modes, olderModes} {
		for number, argument := range calls {
			args := make([]uint64, 6)
			if got := decide(t, f, auditArch, number, args...); got != allow {
				t.Errorf("call %d without a mode: %#x", number, got)
			}
			for _, mode := range []uint64{0o4755, 0o2755, 0o6000, 1<<32 | 0o4000} {
				args[argument] = mode
				if got := decide(t, f, auditArch, number, args...); got != no {
					t.Errorf("call %d with mode %#o: %#x", number, mode, got)
				}
			}
			args[argument] = 0o1777
			if got := decide(t, f, auditArch, number, args...); got != allow {
				t.Errorf("call %d with mode 1777: %#x", number, got)
			}
		}
	}
	const i386, arm = unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_ARM
	for _, c := range []struct {
		processor, number, want uint32
	}{
		{auditArch, unix.SYS_OPENAT2, none}, {auditArch, unix.SYS_IO_URING_SETUP, no}, {auditArch, unix.SYS_IO_URING_ENTER, no},
		{auditArch, unix.SYS_IO_URING_REGISTER, no}, {auditArch, unix.SYS_READ, allow}, {auditArch, unix.SYS_GETPID, allow},
		{i386, 15, none}, {i386, 0, none}, {arm, 15, none}, {0, unix.SYS_READ, none}, // 15 is chmod there
	} {
		if got := decide(t, f, c.processor, c.number, 0, 0o4755); got != c.want {
			t.Errorf("call %d of %#x: %#x, want %#x", c.number, c.processor, got, c.want)
		}
	}
	if otherNumbers != 0 {
		if got := decide(t, f, auditArch, otherNumbers|unix.SYS_FCHMOD, 0, 0o4755); got != none {
			t.Errorf("a call of the x32 kind: %#x", got)
		}
	}
}
