package jail

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/audit"
	"github.com/sandtree/sandtree/sandbox"
)

// arguments are on either side of each condition, and such as have what is looked at in the upper half of a register.
var arguments = [][]uint64{
	nil, {17}, {unix.CLONE_NEWUSER | 17}, {unix.CLONE_NEWNS}, {unix.CLONE_NEWUSER<<32 | 17}, {17<<32 | unix.CLONE_NEWUSER},
	{0, unix.TIOCSTI}, {0, 1<<32 | unix.TIOCSTI}, {0, unix.TIOCLINUX}, {0, unix.TCGETS},
	{unix.AF_UNIX}, {unix.AF_VSOCK}, {1<<32 | unix.AF_VSOCK}, {unix.AF_PACKET}, {unix.AF_ALG}, {unix.AF_NETLINK, 3, unix.NETLINK_NETFILTER},
	{unix.AF_INET, 1, unix.IPPROTO_SCTP}, {unix.AF_INET, 1, unix.IPPROTO_TCP}, {unix.AF_INET6, 2, unix.IPPROTO_UDP}, {unix.AF_INET, 1, 1<<32 | unix.IPPROTO_SCTP},
	{0x0400000}, {0x8}, {0xffffffff}, {^uint64(0), 0},
	{0, unix.O_CREAT, unix.O_CREAT, 0o4755}, {0, unix.O_CREAT, 0o4755, 0o4755}, {0, 0o4755, 0o4755, 0o4755}, {0, 0o600, 0o600, 0o600},
}

// TestAuditedPolicy compares filters that ask with the one that does not, for every call and arguments on either side of each
// condition: what they ask about is answered as the other decides, and all else they decide as it does. So nothing is let through for
// being watched; and what is asked for is asked about, whatever becomes of it.
func TestAuditedPolicy(t *testing.T) {
	info, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	plain := program(info, nil)
	all := slices.Collect(maps.Keys(info.SyscallNames))
	conditional := []string{"clone", "clone3", "ioctl", "socket", "socketpair", "personality", "chmod", "fchmod", "openat"}
	for what, a := range map[string]sandbox.Audit{
		"programs": {Exec: true}, "rights": {Privileges: true}, "files": {Files: sandbox.AuditFilesAll}, "listed": {Syscalls: conditional}, "every": {Syscalls: all},
		"all": {Exec: true, Privileges: true, Files: sandbox.AuditFilesAll, Syscalls: append([]string{"ptrace", "openat2"}, conditional...)},
	} {
		w, err := watchedBy(a, info)
		if err != nil {
			t.Fatal(err)
		}
		p := program(info, w)
		answers, err := audit.NewAnswers(w.calls())
		if err != nil {
			t.Fatal(err)
		}
		for name, n := range info.SyscallNames {
			for _, args := range arguments {
				want, got := decide(t, plain, info.ID, uint32(n), args...), decide(t, p, info.ID, uint32(n), args...)
				asked := got == unix.SECCOMP_RET_USER_NOTIF
				if asked {
					got = allows
					if errno := answers.Errno(n, args...); errno != 0 {
						got = fails(unix.Errno(errno))
					}
				}
				if got != want {
					t.Errorf("%s: %s%#x: %#x, want %#x", what, name, args, got, want)
				}
				if !asked && slices.Contains(a.Syscalls, name) {
					t.Errorf("%s: nobody is asked about %s%#x", what, name, args)
				}
			}
		}
		for _, other := range []uint32{uint32(info.ID) ^ 1, 0} {
			for n := range w {
				if got := decide(t, p, arch.AuditArch(other), uint32(n)); got != fails(unix.ENOSYS) {
					t.Errorf("%s: call %d of another processor: %#x", what, n, got)
				}
			}
		}
	}
}

// TestWatched looks at what each outcome of a call that is decided by its arguments is told as.
func TestWatched(t *testing.T) {
	info, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	const none = sandbox.AuditKind("")
	rights := sandbox.Audit{Privileges: true}
	clone := sandbox.Audit{Privileges: true, Syscalls: []string{"clone", "ioctl"}}
	files := sandbox.Audit{Files: sandbox.AuditFilesAll}
	for _, c := range []struct {
		audit sandbox.Audit
		call  string
		args  []uint64
		want  sandbox.AuditKind
		errno int
	}{
		{rights, "clone", []uint64{17}, none, 0},
		{rights, "clone", []uint64{unix.CLONE_NEWUSER}, sandbox.AuditPrivilege, 1},
		{rights, "ioctl", []uint64{0, unix.TCGETS}, none, 0},
		{rights, "ioctl", []uint64{0, unix.TIOCSTI}, sandbox.AuditPrivilege, 1},
		{clone, "clone", []uint64{17}, sandbox.AuditSyscall, 0},
		{clone, "clone", []uint64{unix.CLONE_NEWUSER}, sandbox.AuditPrivilege, 1},
		{clone, "ioctl", []uint64{0, unix.TCGETS}, sandbox.AuditSyscall, 0},
		{sandbox.Audit{Syscalls: []string{"socket"}}, "socket", []uint64{unix.AF_VSOCK}, sandbox.AuditSyscall, int(unix.EAFNOSUPPORT)},
		{sandbox.Audit{Syscalls: []string{"personality"}}, "personality", []uint64{0x400000}, sandbox.AuditSyscall, 1},
		{sandbox.Audit{Syscalls: []string{"clone3"}}, "clone3", nil, sandbox.AuditSyscall, int(unix.ENOSYS)},
		{files, "fchmod", []uint64{0, 0o600}, sandbox.AuditFile, 0},
		{files, "fchmod", []uint64{0, 0o4755}, none, 1}, // by the filter itself
	} {
		w, err := watchedBy(c.audit, info)
		if err != nil {
			t.Fatal(err)
		}
		answers, err := audit.NewAnswers(w.calls())
		if err != nil {
			t.Fatal(err)
		}
		n := info.SyscallNames[c.call]
		kind, errno := none, 0
		if decide(t, program(info, w), info.ID, uint32(n), c.args...) == unix.SECCOMP_RET_USER_NOTIF {
			kind, errno = answers.Kind(n, c.args...), answers.Errno(n, c.args...)
		} else {
			errno = c.errno
		}
		if kind != c.want || errno != c.errno {
			t.Errorf("%s%#x with %+v is told as %q, and answered with %d; want %q, %d", c.call, c.args, c.audit, kind, errno, c.want, c.errno)
		}
	}
}

// TestTouches looks that no call is forgotten by which a file comes to be opened or changed, whatever the processor; those that work on
// descriptors alone are in docs/isolation.md. What would go past all of it does not exist.
func TestTouches(t *testing.T) {
	info, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	w, err := watchedBy(sandbox.Audit{Files: sandbox.AuditFilesAll}, info)
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range info.SyscallNames {
		of := func(words ...string) bool {
			return slices.ContainsFunc(words, func(s string) bool { return strings.Contains(name, s) })
		}
		if !of("open", "creat", "truncate", "fallocate", "rename", "link", "mkdir", "rmdir", "mknod", "chmod", "chown", "utime", "setxattr", "removexattr") ||
			of("mq_", "fsopen", "open_tree", "pidfd_open", "perf_", "readlink", "memfd", "timer_create", "timerfd_create", "epoll_create", "create_module", "landlock_create") {
			continue
		}
		if c, ok := w[n]; !ok || c.Write == slices.Contains(onlyOpen, name) {
			t.Errorf("%s is told: %v, as one that writes: %v", name, ok, c.Write)
		}
	}
	for _, a := range []sandbox.Audit{{}, {Exec: true, Privileges: true, Files: sandbox.AuditFilesAll}} {
		w, err := watchedBy(a, info)
		if err != nil {
			t.Fatal(err)
		}
		p := program(info, w)
		for _, name := range []string{"io_uring_setup", "io_uring_enter", "io_uring_register"} {
			n := info.SyscallNames[name]
			got := decide(t, p, info.ID, uint32(n))
			if c, ok := w[n]; ok && got == unix.SECCOMP_RET_USER_NOTIF {
				got = fails(unix.Errno(c.Errno))
			}
			if got != fails(unix.EPERM) {
				t.Errorf("%s: %#x", name, got)
			}
		}
	}
}
