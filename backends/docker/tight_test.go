package docker

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/dockerd"
	"github.com/sandtree/sandtree/testing/need"
)

// listenIn gives the path of a socket in dir that somebody listens on.
func listenIn(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return path
}

// TestTight asks the kernel from inside for what no sandbox may have.
func TestTight(t *testing.T) {
	need.Tool(t, "python3")
	_, b := opened(t, testConfig(t))
	s, _ := started(t, b, sandbox.Spec{ID: "tight", Env: map[string]string{"NUMBERS": "yes"}})
	if pid, _ := run(t, s, "echo $SANDBOXD_PID"); pid != "1" {
		t.Fatal("the probes are not inside of a sandbox") // on the host they would not be refused
	}
	prints(t, s, "grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\\t\\n' ' '",
		"CapInh: 0000000000000000 CapPrm: 0000000000000000 CapEff: 0000000000000000 CapBnd: 0000000000000000 CapAmb: 0000000000000000 NoNewPrivs: 1 Seccomp: 2")
	prints(t, s, "id -u; id -g", "1000\n1000")
	prints(t, s, "ulimit -Hc; [[ $(ulimit -Sn) = $(ulimit -Hn) && $(ulimit -n) -le 65536 ]] && echo few", "0\nfew")
	const probe = `python3 - <<'E'
import ctypes, os
c = ctypes.CDLL(None, use_errno=True)
for name, args in {"io_uring_setup": (425, 8, 0), "bpf": (321, 0, 0, 0), "keyctl": (250, 0, -3, 0), "add_key": (248, 0, 0, 0, 0, 0), "userfaultfd": (323, 0),
    "perf_event_open": (298, 0, 0, -1, -1, 0), "unshare user": (272, 0x10000000), "mount": (165, 0, 0, 0, 0, 0), "init_module": (175, 0, 0, 0),
    "open_by_handle_at": (304, 0, 0, 0), "name_to_handle_at": (303, -1, 0, 0, 0, 0), "setns": (308, 0, 0), "kexec_load": (246, 0, 0, 0, 0),
    "clone user": (56, 0x10000000 | 17, 0, 0, 0, 0), "alg socket": (41, 38, 5, 0), "packet socket": (41, 17, 3, 0), "vsock": (41, 40, 1, 0), "raw socket": (41, 2, 3, 1),
    "swapon": (167, 0, 0), "settimeofday": (164, 0, 0), "acct": (163, 0), "modify_ldt": (154, 0, 0, 0), "openat2": (437, -100, b"/", 0, 24),
    "netfilter": (41, 16, 3, 12), "sctp": (41, 2, 1, 132), "mptcp": (41, 10, 1, 262)}.items():
    r = c.syscall(*args)
    e = ctypes.get_errno()
    if r == 0 and name.startswith("clone"): os._exit(0)
    print(name, "granted" if r >= 0 or e not in (1, 38) else "refused")
E`
	if os.Getenv("GOARCH") == "" && syscall.SYS_KEYCTL == 250 { // the numbers are those of amd64
		got, _ := run(t, s, probe)
		if strings.Contains(got, "granted") || strings.Count(got, "refused") != 26 {
			t.Errorf("the kernel answers\n%s", got)
		}
	}
	for command, words := range map[string]string{
		"cat /proc/1/environ":                      "Permission denied",
		"head -c1 /proc/1/mem":                     "Permission denied",
		"ls /proc/1/root/":                         "Permission denied",
		"echo x >/proc/sys/kernel/core_pattern":    "Read-only",
		"mknod disk b 8 0":                         "not permitted",
		"ls /sys/fs/cgroup/x; mkdir /sys/kernel/x": "Read-only",
		"kill -9 1 && kill -0 1 && false":          "",
		"echo x >/.sandtree/sandboxd":              "",
		"su -c true":                               "",
	} {
		refused(t, s, command, words)
	}
	if got, _ := run(t, s, "ps -e 2>/dev/null | wc -l; ls /proc | grep -c '^[0-9]'"); strings.Count(got, "\n") > 1 || len(got) > 6 {
		t.Errorf("processes of others are seen: %s", got)
	}
	prints(t, s, "echo $$ >/dev/null; echo still here", "still here")
}

func TestSecretsAreNotShown(t *testing.T) {
	c := testConfig(t)
	c.Env = map[string]string{"CONFIGURED": "sesame-c"}
	_, b := opened(t, c)
	s, i := started(t, b, sandbox.Spec{ID: "secret", Env: map[string]string{"TOKEN": "sesame-t"}, Setup: sandbox.Setup{Env: map[string]string{"SET": "sesame-s"}}})
	prints(t, s, "echo $CONFIGURED $TOKEN", "sesame-c sesame-t")
	shown, err := dockerd.Client(t, c.Host).ContainerInspect(t.Context(), i.container.id)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(shown)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"sesame", i.key} {
		if strings.Contains(string(text), secret) {
			t.Errorf("the engine shows %q", secret)
		}
		if got, code := run(t, s, "tr '\\0' '\\n' </proc/1/cmdline; env | grep -v -e ^TOKEN= -e ^CONFIGURED="); code == 0 && strings.Contains(got, secret) {
			t.Errorf("a program sees %q in %q", secret, got)
		}
	}
	refused(t, s, "grep -r "+i.key+" /.sandtree /home /workspace /tmp", "")
}

// TestSocketReplaced puts something else where the controller connects to.
func TestSocketReplaced(t *testing.T) {
	_, b := opened(t, testConfig(t))
	s, i := started(t, b, sandbox.Spec{ID: "replaced"})
	outside := listenIn(t, t.TempDir())
	run(t, s, "cd /.sandtree/box && mv sock away && ln -s "+outside+" sock")
	if c, err := i.Dial(t.Context()); sandbox.CodeOf(err) != sandbox.Unavailable {
		t.Errorf("connected to %v, %v", c, err)
	}
	run(t, s, "cd /.sandtree/box && rm sock && echo >sock")
	if c, err := i.Dial(t.Context()); sandbox.CodeOf(err) != sandbox.Unavailable {
		t.Errorf("connected to %v, %v", c, err)
	}
	run(t, s, "cd /.sandtree/box && rm sock && mv away sock")
	c, err := i.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestReadOnlyRoot(t *testing.T) {
	c := testConfig(t)
	c.ReadOnly = true
	_, b := opened(t, c)
	s, _ := started(t, b, sandbox.Spec{ID: "readonly"})
	refused(t, s, "echo x >/etc/x", "Read-only")
	prints(t, s, "echo x >/tmp/x; echo y >y; echo z >~/z; cat /tmp/x y ~/z", "x\ny\nz")
}

// TestWorkspaceKeepsItsOwner has a workspace of somebody else's.
func TestWorkspaceKeepsItsOwner(t *testing.T) {
	need.Root(t)
	_, b := opened(t, testConfig(t))
	dir := t.TempDir()
	if err := os.Chown(dir, 4711, 4712); err != nil {
		t.Fatal(err)
	}
	s, _ := started(t, b, sandbox.Spec{ID: "owner", Workspace: dir})
	prints(t, s, "echo x >file; mkdir sub; echo y >sub/file; id -u", "4711")
	for _, name := range []string{"file", "sub", "sub/file"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != 4711 || st.Gid != 4712 {
			t.Errorf("%s belongs to %d:%d", name, st.Uid, st.Gid)
		}
	}
}
