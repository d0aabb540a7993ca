package jail

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// TestModes looks that no call that makes a file or sets its mode is left out.
func TestModes(t *testing.T) {
	info, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	p := program(info, nil)
	for _, name := range []string{"chmod", "fchmod", "fchmodat", "fchmodat2", "mkdir", "mkdirat", "mknod", "mknodat", "creat", "open", "openat", "openat2"} {
		n, ok := info.SyscallNames[name]
		if !ok {
			continue
		}
		if got := decide(t, p, info.ID, uint32(n), 0o6777, 0o6777, 0o6777, 0o6777); got == allows {
			t.Errorf("%s is let through", name)
		}
	}
}

// decide runs the filter on a call.
func decide(t *testing.T, p []bpf.Instruction, processor arch.AuditArch, number uint32, args ...uint64) uint32 {
	t.Helper()
	vm, err := bpf.NewVM(p)
	if err != nil {
		t.Fatal(err)
	}
	// The machine loads words as they come over a network, the kernel as the processor has them, the lower half of an argument
	// first: both find the same when the words are laid out for the one and in the order of the other.
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data[numberAt:], number)
	binary.BigEndian.PutUint32(data[archAt:], uint32(processor))
	for i, a := range args {
		binary.BigEndian.PutUint32(data[argumentsAt+8*i:], uint32(a))
		binary.BigEndian.PutUint32(data[argumentsAt+8*i+4:], uint32(a>>32))
	}
	result, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(result)
}

const allows = unix.SECCOMP_RET_ALLOW

func fails(e unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(e) }

func TestPolicy(t *testing.T) {
	info, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	p := program(info, nil)
	t.Logf("%d instructions", len(p))
	conditional := map[string]bool{}
	for _, c := range conditions() {
		conditional[c.name] = true
	}
	for name, n := range info.SyscallNames {
		want := fails(unix.ENOSYS)
		switch listed := func(list string) bool {
			return strings.Contains(" "+strings.Join(strings.Fields(list), " ")+" ", " "+name+" ")
		}; {
		case conditional[name]:
			continue
		case listed(allowed):
			want = allows
		case listed(denied):
			want = fails(unix.EPERM)
		}
		if got := decide(t, p, info.ID, uint32(n)); got != want {
			t.Errorf("%s: %#x, want %#x", name, got, want)
		}
	}
	number := func(name string) uint32 { return uint32(info.SyscallNames[name]) }
	const high = 1 << 32
	for _, c := range []struct {
		name string
		args []uint64
		want uint32
	}{
		{"clone", []uint64{uint64(unix.SIGCHLD)}, allows},
		{"clone", []uint64{unix.CLONE_NEWUSER | uint64(unix.SIGCHLD)}, fails(unix.EPERM)},
		{"clone", []uint64{unix.CLONE_NEWNET | high}, fails(unix.EPERM)},
		{"ioctl", []uint64{0, unix.TCGETS}, allows},
		{"ioctl", []uint64{0, unix.TIOCSTI}, fails(unix.EPERM)},
		{"ioctl", []uint64{0, unix.TIOCSTI | high}, fails(unix.EPERM)},
		{"ioctl", []uint64{0, unix.TIOCLINUX | 1<<63}, fails(unix.EPERM)},
		{"ioctl", []uint64{0, 0xffffffff80045430}, allows}, // TIOCGPTN as musl passes it, with its sign
		{"socket", []uint64{unix.AF_INET}, allows},
		{"socket", []uint64{unix.AF_VSOCK}, fails(unix.EAFNOSUPPORT)},
		{"socket", []uint64{unix.AF_PACKET | high}, fails(unix.EAFNOSUPPORT)},
		{"personality", []uint64{0xffffffff}, allows},
		{"personality", []uint64{0x0400000}, fails(unix.EPERM)},
		{"socket", []uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP}, allows},
		{"socket", []uint64{unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_UDP}, allows},
		{"socket", []uint64{unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP}, allows},
		{"socket", []uint64{unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_ICMPV6}, allows},
		{"socket", []uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP}, fails(unix.EPROTONOSUPPORT)},
		{"socket", []uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP | high}, fails(unix.EPROTONOSUPPORT)},
		{"socket", []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE}, allows},
		{"socket", []uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER}, fails(unix.EPROTONOSUPPORT)},
		{"socket", []uint64{unix.AF_UNIX, unix.SOCK_STREAM, unix.AF_UNIX}, allows},
		{"socketpair", []uint64{unix.AF_UNIX, unix.SOCK_STREAM}, allows},
		{"socketpair", []uint64{unix.AF_TIPC, unix.SOCK_STREAM}, fails(unix.EAFNOSUPPORT)},
		{"fchmod", []uint64{3, 0o755}, allows},
		{"fchmod", []uint64{3, 0o1777}, allows},
		{"fchmod", []uint64{3, 0o4755}, fails(unix.EPERM)},
		{"fchmod", []uint64{3, 0o2755 | high}, fails(unix.EPERM)},
		{"fchmodat", []uint64{0, 0, 0o4755}, fails(unix.EPERM)},
		{"fchmodat2", []uint64{0, 0, 0o4755}, fails(unix.EPERM)},
		{"mkdirat", []uint64{0, 0, 0o2755}, fails(unix.EPERM)},
		{"mknodat", []uint64{0, 0, unix.S_IFREG | 0o4755}, fails(unix.EPERM)},
		{"mknodat", []uint64{0, 0, unix.S_IFIFO | 0o644}, allows},
		{"openat", []uint64{0, 0, unix.O_RDONLY, 0o4755}, allows}, // without a file to make, it is not looked at
		{"openat", []uint64{0, 0, unix.O_RDONLY | unix.O_DIRECTORY, 0o4755}, allows},
		{"openat", []uint64{0, 0, unix.O_WRONLY | unix.O_CREAT, 0o755}, allows},
		{"openat", []uint64{0, 0, unix.O_WRONLY | unix.O_CREAT, 0o4755}, fails(unix.EPERM)},
		{"openat", []uint64{0, 0, unix.O_WRONLY | unix.O_TMPFILE, 0o4755}, fails(unix.EPERM)},
		{"openat2", nil, fails(unix.ENOSYS)},
		{"modify_ldt", nil, fails(unix.EPERM)},
		{"clone3", nil, fails(unix.ENOSYS)},
	} {
		if _, ok := info.SyscallNames[c.name]; !ok {
			continue // not every processor has each
		}
		if got := decide(t, p, info.ID, number(c.name), c.args...); got != c.want {
			t.Errorf("%s %#x: %#x, want %#x", c.name, c.args, got, c.want)
		}
	}
	if got := decide(t, p, info.ID, 100_000); got != fails(unix.ENOSYS) {
		t.Errorf("a call that nobody knows: %#x", got)
	}
	if got := decide(t, p, arch.I386.ID, number("read")); got != fails(unix.ENOSYS) {
		t.Errorf("a 32-bit program: %#x", got)
	}
	if info.ID == arch.X86_64.ID {
		if got := decide(t, p, info.ID, number("read")|x32); got != fails(unix.ENOSYS) {
			t.Errorf("a call of x32: %#x", got)
		}
	}
}
