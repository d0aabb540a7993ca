package jail

import (
	"maps"
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// namespaces are the flags of clone that make some, besides CLONE_NEWTIME, which is no flag of it.
const namespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// domains are the kinds of sockets that programs may have. Others reach parts of the kernel that few have looked at, or leave
// the network namespace (AF_VSOCK).
var domains = []uint32{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK}

// personalities are those that change nothing but how a program sees itself: see personality(2).
var personalities = []uint32{0x0, 0x8, 0x20000, 0x20008, 0x40000, 0xffffffff}

// setIDs are the bits of a mode by which a program runs as the file's owner or group. In a jail they mean nothing, but a file
// in a workspace that was named is its owner's on the host, who may be root.
const setIDs = unix.S_ISUID | unix.S_ISGID

// modeAt says which argument of a call is a mode.
var modeAt = map[string]uint32{"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "mkdir": 1, "mkdirat": 2, "mknod": 1, "mknodat": 2, "creat": 1}

// protocols are those of the kinds of sockets that have several: of each kind that which everything has, and those besides. What
// else there is (SCTP, DCCP, MPTCP, the tables of the firewall) is more of the kernel to find a bug in than it is of use.
var protocols = map[uint32][]uint32{
	unix.AF_INET:    {unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMP},
	unix.AF_INET6:   {unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMPV6},
	unix.AF_NETLINK: {}, // NETLINK_ROUTE is 0
}

// A condition is a call that is decided by its arguments: each way through decide ends with a result.
type condition struct {
	name   string
	decide []bpf.Instruction
}

// lower loads the lower half of an argument, which alone is looked at, as the kernel does with those that are int: a program
// that sets the upper half would else get past (CVE-2019-7303).
func lower(argument uint32) bpf.Instruction {
	return bpf.LoadAbsolute{Off: argumentsAt + 8*argument, Size: 4}
}

// only allows a call whose argument is one of the values, or none of them.
func only(argument uint32, values []uint32, are bool, otherwise unix.Errno) []bpf.Instruction {
	hit, miss := bpf.Instruction(allow), failWith(otherwise)
	if !are {
		hit, miss = miss, hit
	}
	out := []bpf.Instruction{lower(argument)}
	for _, v := range values {
		out = append(out, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipFalse: 1}, hit)
	}
	return append(out, miss)
}

// without allows a call whose argument has none of the bits.
func without(argument, bits uint32) []bpf.Instruction {
	return []bpf.Instruction{lower(argument), bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: bits, SkipFalse: 1}, failWith(unix.EPERM), allow}
}

// opens decides a call that has flags, and after them a mode which only counts if a file is made.
func opens(flags uint32) []bpf.Instruction {
	const makes = unix.O_CREAT | unix.O_TMPFILE&^unix.O_DIRECTORY
	return append([]bpf.Instruction{lower(flags), bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: makes, SkipTrue: 1}, allow},
		without(flags+1, setIDs)...)
}

// sockets decides by the kind, and then by the protocol.
func sockets() []bpf.Instruction {
	out := []bpf.Instruction{lower(0)}
	for _, domain := range domains {
		decide := []bpf.Instruction{allow}
		if list, ok := protocols[domain]; ok {
			decide = only(2, append([]uint32{0}, list...), true, unix.EPROTONOSUPPORT)
		}
		out = append(out, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: domain, SkipTrue: uint8(len(decide))})
		out = append(out, decide...)
	}
	return append(out, failWith(unix.EAFNOSUPPORT))
}

// conditions are all of them. Those of modes give what a capability that is missing would.
func conditions() []condition {
	all := []condition{
		{"clone", without(0, namespaces)},
		// On a terminal: to type for the one who is at it, and to paste on a console.
		{"ioctl", only(1, []uint32{unix.TIOCSTI, unix.TIOCLINUX}, false, unix.EPERM)},
		{"socket", sockets()},
		{"socketpair", only(0, []uint32{unix.AF_UNIX}, true, unix.EAFNOSUPPORT)}, // no other that we have makes pairs
		{"personality", only(0, personalities, true, unix.EPERM)},
		{"open", opens(1)},
		{"openat", opens(2)},
	}
	for _, name := range slices.Sorted(maps.Keys(modeAt)) {
		all = append(all, condition{name, without(modeAt[name], setIDs)})
	}
	return all
}
