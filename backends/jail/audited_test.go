package jail

import (
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/sandbox"
)

// TestAuditedPolicy compares filters that ask with the one that does not, for every call and arguments on either side of each
// condition: what they ask about is answered as the other decides, and all else they decide as it does.
func TestAuditedPolicy(t *testing.T) {
	info, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	plain := program(info, nil)
	asked := map[string]bool{}
	for _, a := range []sandbox.Audit{
		{Exec: true}, {Privileges: true}, {Files: sandbox.AuditFilesAll},
		{Exec: true, Privileges: true, Files: sandbox.AuditFilesAll, Syscalls: []string{"clone", "clone3", "socket", "ptrace", "personality", "openat2"}},
	} {
		w, err := watchedBy(a, info)
		if err != nil {
			t.Fatal(err)
		}
		p := program(info, w)
		for name, n := range info.SyscallNames {
			for _, args := range [][]uint64{
				nil, {17}, {unix.CLONE_NEWUSER | 17}, {0, unix.TIOCSTI}, {unix.AF_UNIX}, {unix.AF_VSOCK}, {unix.AF_INET, 1, unix.IPPROTO_SCTP},
				{0, unix.O_CREAT, unix.O_CREAT, 0o4755}, {0, unix.O_CREAT, 0o4755, 0o4755}, {0, 0o4755, 0o4755, 0o4755}, {0, 0o600, 0o600, 0o600}, {^uint64(0), 0},
			} {
				want, got := decide(t, plain, info.ID, uint32(n), args...), decide(t, p, info.ID, uint32(n), args...)
				call, watched := w[n]
				if got == unix.SECCOMP_RET_USER_NOTIF && watched {
					asked[name] = true
					if got = allows; call.Errno != 0 {
						got = fails(unix.Errno(call.Errno))
					}
				}
				if got != want {
					t.Errorf("%s%v, with %+v: %#x, want %#x", name, args, a, got, want)
				}
			}
		}
	}
	for _, name := range []string{"execve", "execveat", "setuid", "mount", "clone", "clone3", "openat", "chmod", "unlinkat", "socket", "ptrace", "openat2"} {
		if _, ok := info.SyscallNames[name]; ok && !asked[name] {
			t.Errorf("nobody is ever asked about %s", name)
		}
	}
}
