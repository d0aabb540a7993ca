package jail

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends/internal/homes"
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
	"ioperm": "nnn", "open_by_handle_at": "f-o", "pidfd_getfd": "nn", "acct": "p", "swapon": "p", "reboot": "", "syslog": "n",
	"sethostname": "t", "settimeofday": "", "clock_settime": "n",
}

// touches are those by which a file is opened, made, moved, removed, or its content, rights or times are changed otherwise than by
// writing to a descriptor. All of them but those that only open (onlyOpen) change something.
var touches = map[string]string{
	"open": "po", "openat": "dpo", "openat2": "dp", "open_by_handle_at": "f-o", "name_to_handle_at": "dp", "creat": "p",
	"truncate": "pn", "ftruncate": "fn", "fallocate": "fnnn", "unlink": "p", "unlinkat": "dp", "rmdir": "p", "mkdir": "p", "mkdirat": "dp",
	"mknod": "p", "mknodat": "dp", "link": "pp", "linkat": "dpdp", "symlink": "tp", "symlinkat": "tdp", "rename": "pp", "renameat": "dpdp",
	"renameat2": "dpdp", "chmod": "pn", "fchmod": "fn", "fchmodat": "dpn", "fchmodat2": "dpn", "chown": "pnn", "lchown": "pnn",
	"fchown": "fnn", "fchownat": "dpnn", "utime": "p", "utimes": "p", "utimensat": "dp", "futimesat": "dp", "setxattr": "pt",
	"lsetxattr": "pt", "fsetxattr": "ft", "setxattrat": "dp-t", "removexattr": "pt", "lremovexattr": "pt", "fremovexattr": "ft",
	"removexattrat": "dp-t",
}

// onlyOpen are those of touches that change nothing by themselves. Of some the flags say what the file is opened for; those of openat2
// are in memory, and it is denied.
var onlyOpen = []string{"open", "openat", "openat2", "open_by_handle_at", "name_to_handle_at"}

// anything is the form of a call that was named and of which nothing else is known.
const anything = "nnnnnn"

// watched are the calls that the filter asks about, by their numbers.
type watched map[int]watch

// A watch is one. Of a call that is decided by its arguments the two outcomes are asked about apart.
type watch struct {
	audit.Call
	allowed, refused bool
}

// watchedBy are those of a, none if it needs none. Code: Invalid, if there is no call of a name.
func watchedBy(a sandbox.Audit, info *arch.Info) (watched, error) {
	w := watched{}
	if a.Exec {
		w.addAll(info, sandbox.AuditExec, starts)
	}
	if a.Privileges {
		w.addAll(info, sandbox.AuditPrivilege, powers)
		// Most make no namespaces, or are about terminals and devices, and are nobody's business: only about those that are denied is asked.
		for name, form := range map[string]string{"clone": "n", "ioctl": "fnn"} {
			w.add(info, sandbox.AuditPrivilege, name, form, false, true)
		}
	}
	if a.Files == sandbox.AuditFilesAll {
		// What is denied by its mode is for the filter alone to deny: it would be a program of somebody on the host.
		w.addAll(info, sandbox.AuditFile, touches)
	}
	for _, name := range a.Syscalls {
		form := anything
		for _, known := range []map[string]string{starts, powers, touches} {
			if f, ok := known[name]; ok {
				form = f
			}
		}
		if !w.add(info, sandbox.AuditSyscall, name, form, true, true) {
			return nil, homes.Coded(sandbox.Invalid, fmt.Errorf("audit.syscalls: this processor has no system call %q", name))
		}
	}
	return w, nil
}

func (w watched) addAll(info *arch.Info, kind sandbox.AuditKind, calls map[string]string) {
	for name, form := range calls {
		w.add(info, kind, name, form, true, false)
	}
}

// add watches a call, and says whether there is one of the name. What it is told as first it stays; each outcome that somebody
// wants is asked about.
func (w watched) add(info *arch.Info, kind sandbox.AuditKind, name, form string, allowed, refused bool) bool {
	n, ok := info.SyscallNames[name]
	if !ok {
		return false
	}
	c, twice := w[n]
	if !twice {
		_, touching := touches[name]
		c.Call = audit.Call{Name: name, Kind: kind, Form: form, Errno: denial(name), Write: touching && !slices.Contains(onlyOpen, name)}
	} else if allowed && !c.allowed {
		c.Call.Kind, c.Refused = kind, c.Kind
	}
	c.allowed, c.refused = c.allowed || allowed, c.refused || refused
	if steps := conditionOf(name); steps != nil && c.refused {
		// Whoever answers denies what the filter would, by the same steps.
		raw, err := bpf.Assemble(steps)
		if err != nil {
			panic(err) // it is part of the filter of every jail
		}
		c.Decide = raw
	}
	w[n] = c
	return true
}

// calls are what a keeper has to know of them.
func (w watched) calls() map[int]audit.Call {
	calls := map[int]audit.Call{}
	for n, c := range w {
		calls[n] = c.Call
	}
	return calls
}

// conditionOf gives the steps that decide a call by its arguments; nil if it is decided by its number.
func conditionOf(name string) []bpf.Instruction {
	all := conditions()
	if i := slices.IndexFunc(all, func(c condition) bool { return c.name == name }); i >= 0 {
		return all[i].decide
	}
	return nil
}

// denial is what a call is answered by policy, whatever its arguments; 0 lets it go on, or its arguments decide.
func denial(name string) int {
	switch {
	case slices.Contains(strings.Fields(allowed), name), conditionOf(name) != nil:
		return 0
	case slices.Contains(strings.Fields(denied), name):
		return int(unix.EPERM)
	}
	return int(unix.ENOSYS)
}

// decide is what decides a call by its arguments, and asks about one that is watched where it has an outcome that somebody wants to
// hear of. Whoever answers lets go on what is allowed here, and nothing else.
func (w watched) decide(n int, steps []bpf.Instruction) []bpf.Instruction {
	c, ok := w[n]
	if !ok {
		return steps
	}
	steps = slices.Clone(steps)
	for i, s := range steps {
		if result, ok := s.(bpf.RetConstant); ok && (s == bpf.Instruction(allow) && c.allowed || result.Val != allow.Val && c.refused) {
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
