package jail

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// allowed are the system calls that programs may make: what compilers, interpreters, databases and browsers need. What is
// not here does not exist for them, as if the kernel were older (ENOSYS), so that they fall back on what is; so openat2, whose
// mode is in memory, where a filter cannot look.
const allowed = `
	accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod chown clock_getres
	clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
	epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit
	exit_group faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync
	fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait
	futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer
	getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit get_robust_list
	getrusage getsid getsockname getsockopt get_thread_area gettid gettimeofday getuid getxattr inotify_add_watch
	inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit
	ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link
	linkat listen listxattr llistxattr lremovexattr lseek lsetxattr lstat madvise map_shadow_stack membarrier
	memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect
	mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync
	munlock munlockall munmap nanosleep newfstatat open openat pause pidfd_open pidfd_send_signal pipe pipe2
	pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 process_mrelease
	process_vm_readv process_vm_writev pselect6 ptrace pwrite64 pwritev pwritev2 read readahead readlink readlinkat
	readv recvfrom recvmmsg recvmsg remap_file_pages removexattr rename renameat renameat2 restart_syscall rmdir
	riscv_flush_icache rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
	rt_sigtimedwait rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam sched_get_priority_max
	sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
	sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto
	setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit
	set_robust_list setsid setsockopt set_thread_area set_tid_address setuid setxattr shmat shmctl shmdt shmget shutdown
	sigaltstack signalfd signalfd4 socketpair splice stat statfs statx symlink symlinkat sync sync_file_range syncfs
	sysinfo tee tgkill time timer_create timer_delete timerfd_create timerfd_gettime timerfd_settime timer_getoverrun
	timer_gettime timer_settime times tkill truncate umask uname unlink unlinkat utime utimensat utimes vfork vmsplice
	wait4 waitid write writev`

// denied are those that a program may know how to do without if it is told that it may not (EPERM). Most need a capability
// besides, which nothing in a jail has; but of the kernel's errors that were found in them, many came before it asked for one.
const denied = `
	acct add_key bpf chroot clock_adjtime clock_settime create_module delete_module fanotify_init fanotify_mark
	finit_module fsconfig fsmount fsopen fspick get_mempolicy init_module io_uring_enter io_uring_register io_uring_setup
	ioperm iopl kcmp kexec_file_load kexec_load keyctl listmount lookup_dcookie lsm_get_self_attr lsm_list_modules
	lsm_set_self_attr mbind migrate_pages modify_ldt mount mount_setattr move_mount move_pages name_to_handle_at nfsservctl
	open_by_handle_at open_tree open_tree_attr perf_event_open pidfd_getfd pivot_root process_madvise quotactl
	quotactl_fd reboot request_key set_mempolicy set_mempolicy_home_node setdomainname sethostname setns settimeofday
	statmount swapoff swapon syslog umount umount2 unshare userfaultfd ustat vhangup`

// filter gives the seccomp filter, as struct sock_filter one after the other. It is assembled once: it is the same for
// every jail, and takes longer to make than to load.
var filter = sync.OnceValues(func() ([]byte, error) {
	info, err := arch.GetInfo("")
	if err != nil {
		return nil, fmt.Errorf("seccomp: %w", err)
	}
	return assemble(info, nil)
})

// assemble gives a filter that asks about the calls of w.
func assemble(info *arch.Info, w watched) ([]byte, error) {
	raw, err := bpf.Assemble(program(info, w))
	if err != nil {
		return nil, fmt.Errorf("seccomp: %w", err)
	}
	out := make([]byte, 0, 8*len(raw))
	for _, r := range raw {
		out = append(out, byte(r.Op), byte(r.Op>>8), r.Jt, r.Jf, byte(r.K), byte(r.K>>8), byte(r.K>>16), byte(r.K>>24))
	}
	return out, nil
}

// Where in struct seccomp_data the number of the call, the processor's kind and the arguments are, in bytes. Of an argument
// the lower half comes first on the processors that we know, which are little-endian.
const (
	numberAt, archAt, argumentsAt = 0, 4, 16

	x32 = 0x40000000 // set in the number of a call of the x32 kind, which nobody uses and some filters overlook
)

// program is put together here and not by the policies of go-seccomp-bpf, of which only the tables are used: after a condition
// that does not hold, those compare the argument with the numbers of the calls that follow.
func program(info *arch.Info, w watched) []bpf.Instruction {
	p := []bpf.Instruction{
		bpf.LoadAbsolute{Off: archAt, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(info.ID), SkipTrue: 1},
		failWith(unix.ENOSYS), // 32-bit programs
		bpf.LoadAbsolute{Off: numberAt, Size: 4},
	}
	if info.ID == arch.X86_64.ID {
		p = append(p, bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: x32, SkipFalse: 1}, failWith(unix.ENOSYS))
	}
	number := func(name string) (uint32, bool) { n, ok := info.SyscallNames[name]; return uint32(n), ok }
	for _, c := range conditions() {
		if n, ok := number(c.name); ok {
			decide := w.decide(int(n), c.decide)
			p = append(p, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: n, SkipTrue: uint8(len(decide))})
			p = append(p, decide...)
		}
	}
	var ranges []span
	all := results(info)
	for n := range w {
		all[n] = ask
	}
	for n, result := range all {
		ranges = append(ranges, span{uint32(n), result})
	}
	slices.SortFunc(ranges, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	return append(p, search(joined(ranges))...)
}

// results gives what becomes of each call that is decided by its number. Not every processor has each.
func results(info *arch.Info) map[int]bpf.Instruction {
	all := map[int]bpf.Instruction{}
	for _, list := range []struct {
		names  string
		result bpf.Instruction
	}{{allowed, allow}, {denied, failWith(unix.EPERM)}} {
		for _, name := range strings.Fields(list.names) {
			if n, ok := info.SyscallNames[name]; ok {
				all[n] = list.result
			}
		}
	}
	return all
}

// A span is the numbers from one on, up to the next span, which have the same result.
type span struct {
	from   uint32
	result bpf.Instruction
}

// joined puts neighbours together that have the same result, and ENOSYS wherever there is none. That is also what clone3 gets,
// whose flags are in memory, where a filter cannot look: libc falls back on clone.
func joined(single []span) []span {
	spans := []span{{0, failWith(unix.ENOSYS)}}
	add := func(s span) {
		if spans[len(spans)-1].result != s.result {
			spans = append(spans, s)
		}
	}
	for i, s := range single {
		add(s)
		if i+1 == len(single) || single[i+1].from != s.from+1 {
			add(span{s.from + 1, failWith(unix.ENOSYS)})
		}
	}
	return spans
}

// search finds the span of a number by halves: when a filter is loaded, the kernel tries it with every number that there is.
func search(spans []span) []bpf.Instruction {
	if len(spans) == 1 {
		return []bpf.Instruction{spans[0].result}
	}
	middle := len(spans) / 2
	below, above := search(spans[:middle]), search(spans[middle:])
	const far = 255 // what a conditional jump can skip
	var p []bpf.Instruction
	if len(below) <= far {
		p = []bpf.Instruction{bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: spans[middle].from, SkipTrue: uint8(len(below))}}
	} else {
		p = []bpf.Instruction{bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: spans[middle].from, SkipFalse: 1}, bpf.Jump{Skip: uint32(len(below))}}
	}
	return append(append(p, below...), above...)
}

var allow = bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}

func failWith(e unix.Errno) bpf.Instruction {
	return bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(e)}
}
