package jail

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/audit"
	"github.com/sandtree/sandtree/sandbox"
)

// starts are the calls that start a program; the form of each is one of package audit.
var starts = map[string]string{"execve": "pa", "execveat": "dpa"}

// powers are those by which rights are got. All of them are denied, by this filter or by the kernel for want of a capability, but
// where they change nothing.
var powers = map[string]string{
	"setuid": "n", "setgid": "n", "setreuid": "nn", "setregid": "nn", "setresuid": "nnn", "setresgid": "nnn", "setfsuid": "n",
	"setfsgid": "n", "setgroups": "n", "capset": "", "chroot": "p", "pivot_root": "pp", "unshare": "n", "setns": "nn",
	"mount": "tp-n", "umount2": "pn", "umount": "p", "move_mount": "dpdp", "open_tree": "dp", "fsopen": "t", "mount_setattr": "dp",
	"init_module": "", "finit_module": "f", "delete_module": "t", "kexec_load": "", "kexec_file_load": "", "bpf": "n", "keyctl": "n",
	"add_key": "t", "request_key": "t", "perf_event_open": "", "io_uring_setup": "n", "userfaultfd": "n", "iopl": "n",
	"ioperm": "nnn", "open_by_handle_at": "", "pidfd_getfd": "nn", "acct": "p", "swapon": "p", "reboot": "", "syslog": "n",
	"sethostname": "t", "settimeofday": "", "clock_settime": "n",
}

// touches are those by which a file is opened, made, moved, removed, or its rights are changed.
var touches = map[string]string{
	"open": "po", "openat": "dpo", "creat": "p", "truncate": "p", "unlink": "p", "unlinkat": "dp", "rmdir": "p", "mkdir": "p",
	"mkdirat": "dp", "mknod": "p", "mknodat": "dp", "link": "pp", "linkat": "dpdp", "symlink": "tp", "symlinkat": "tdp",
	"rename": "pp", "renameat": "dpdp", "renameat2": "dpdp", "chmod": "pn", "fchmod": "fn", "fchmodat": "dpn", "fchmodat2": "dpn",
	"chown": "pnn", "lchown": "pnn", "fchown": "fnn", "fchownat": "dpnn", "setxattr": "pt", "lsetxattr": "pt", "removexattr": "pt",
	"lremovexattr": "pt",
}

// anything is the form of a call that was named and of which nothing else is known.
const anything = "nnnnnn"

// watched are the calls that the filter asks about, by their numbers.
type watched map[int]audit.Call

// watchedBy are those of a, none if it needs none. Code: Invalid, if there is no call of a name.
func watchedBy(a sandbox.Audit, info *arch.Info) (watched, error) {
	w := watched{}
	add := func(kind sandbox.AuditKind, name, form string) bool {
		n, ok := info.SyscallNames[name]
		if _, twice := w[n]; !ok || twice {
			return ok
		}
		w[n] = audit.Call{Name: name, Kind: kind, Form: form, Errno: denial(name)}
		return true
	}
	addAll := func(kind sandbox.AuditKind, calls map[string]string) {
		for name, form := range calls {
			add(kind, name, form)
		}
	}
	if a.Exec {
		addAll(sandbox.AuditExec, starts)
	}
	if a.Privileges {
		addAll(sandbox.AuditPrivilege, powers)
	}
	if n, ok := info.SyscallNames["clone"]; ok && a.Privileges && !slices.Contains(a.Syscalls, "clone") {
		// Most make no namespaces and are nobody's business: only about those that are denied is asked.
		w[n] = audit.Call{Name: "clone", Kind: sandbox.AuditPrivilege, Form: "n", Errno: int(unix.EPERM)}
	}
	if a.Files == sandbox.AuditFilesAll {
		addAll(sandbox.AuditFile, touches)
	}
	for _, name := range a.Syscalls {
		form := anything
		for _, known := range []map[string]string{starts, powers, touches} {
			if f, ok := known[name]; ok {
				form = f
			}
		}
		if !add(sandbox.AuditSyscall, name, form) {
			return nil, coded{sandbox.Invalid, fmt.Errorf("audit.syscalls: this processor has no system call %q", name)}
		}
	}
	return w, nil
}

// denial is what a call is answered by policy, whatever its arguments; 0 lets it go on. One that is decided by its arguments is
// asked about where they let it go on.
func denial(name string) int {
	switch {
	case slices.Contains(strings.Fields(allowed), name), slices.ContainsFunc(conditions(), func(c condition) bool { return c.name == name }):
		return 0
	case slices.Contains(strings.Fields(denied), name):
		return int(unix.EPERM)
	}
	return int(unix.ENOSYS)
}

// decide is what decides a call by its arguments, and asks about one that is watched where that would be its result: the answer is
// the same. Where it has another, nobody is asked.
func (w watched) decide(n int, steps []bpf.Instruction) []bpf.Instruction {
	c, ok := w[n]
	if !ok {
		return steps
	}
	about := bpf.Instruction(allow)
	if c.Errno != 0 {
		about = failWith(unix.Errno(c.Errno))
	}
	steps = slices.Clone(steps)
	for i, s := range steps {
		if s == about {
			steps[i] = ask
		}
	}
	return steps
}

var ask = bpf.RetConstant{Val: unix.SECCOMP_RET_USER_NOTIF}

// filters are those that ask, by what is told, since most sandboxes of a host are told of alike: a filter takes some
// milliseconds to assemble.
var filters sync.Map // of string to asking

type asking struct {
	filter []byte
	calls  watched
}

// filterFor gives the filter of a sandbox, and which calls it asks about.
func filterFor(a sandbox.Audit) ([]byte, watched, error) {
	if !asks(a) {
		raw, err := filter()
		return raw, nil, err
	}
	key := fmt.Sprint(a.Exec, a.Privileges, a.Files, a.Syscalls)
	if f, ok := filters.Load(key); ok {
		return f.(asking).filter, f.(asking).calls, nil
	}
	info, err := arch.GetInfo("")
	if err != nil {
		return nil, nil, fmt.Errorf("seccomp: %w", err)
	}
	w, err := watchedBy(a, info)
	if err != nil {
		return nil, nil, err
	}
	raw, err := assemble(info, w)
	if err == nil {
		filters.Store(key, asking{raw, w})
	}
	return raw, w, err
}

// asks says whether a needs a filter that asks, and a keeper to answer it.
func asks(a sandbox.Audit) bool {
	return a.Exec || a.Privileges || a.Files == sandbox.AuditFilesAll || len(a.Syscalls) > 0
}
