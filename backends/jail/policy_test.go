package jail

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

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
	p := program(info)
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
		{"clone3", nil, fails(unix.ENOSYS)},
	} {
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
