package gvisor

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/doors"
	"github.com/sandtree/sandtree/sandbox"
)

// Where things are in every sandbox.
const (
	workDir       = "/workspace"
	inside        = "/.sandtree" // where it has what is ours
	insideProgram = inside + "/sandboxd"
	insideBox     = inside + "/box" // boxDir
)

// hostPaths are what a sandbox without a root of its own shows of the host, as far as it is there: programs, and the files
// that they read to know where they are. Of /etc it is these alone, since what else is there may be secret. What /sys and /proc
// tell is gVisor's own.
var hostPaths = []string{
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
	"/etc/alternatives", "/etc/bash.bashrc", "/etc/fonts", "/etc/inputrc", "/etc/java", "/etc/ld.so.cache", "/etc/localtime",
	"/etc/nsswitch.conf", "/etc/os-release", "/etc/pki/ca-trust", "/etc/pki/tls/certs", "/etc/profile", "/etc/protocols",
	"/etc/services", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/timezone",
}

// hostTree is how they are shown: what is a link on the host is one in the sandbox, as /bin often is. It is looked up once;
// what comes to be there later is shown to the next controller's sandboxes.
var hostTree = sync.OnceValue(func() (t struct {
	paths []string
	links []link
}) {
	for _, p := range hostPaths {
		if target, err := os.Readlink(p); err == nil {
			t.links = append(t.links, link{p, target})
		} else if _, err := os.Stat(p); err == nil {
			t.paths = append(t.paths, p)
		}
	}
	return t
})

// order says what the sandbox looks like, but for what the companion is handed down by descriptors, in o.
func (d *Driver) order(l *label, g cgroup.Group, o opened, args []string) order {
	u := d.user()
	s := order{
		Protocol: protocol, ID: l.Mark, Hostname: "sandbox", Trees: o.trees, Overlay: d.config.Overlay,
		Args: args, Env: homes.Environ(d.base(l.Mark)), UID: uint32(u.ID), GID: uint32(u.ID),
		Loopback: d.config.Network == networkNone, OOM: oomFile(g), OOMScore: homes.OOMScore, Debug: d.config.Debug,
	}
	for _, m := range l.Mappings() {
		s.IDs = append(s.IDs, idMapping{uint32(m.ContainerID), uint32(m.HostID), uint32(m.Size)})
	}
	s.Rlimits = []rlimit{{"RLIMIT_CORE", 0}, {"RLIMIT_NOFILE", openFiles}}
	if n := homes.Processes(l.Limits); n > 0 {
		s.Rlimits = append(s.Rlimits, rlimit{"RLIMIT_NPROC", uint64(n + homes.Spare)})
	}
	if d.config.Root == "" {
		s.Links = hostTree().links
		passwd, group := homes.Accounts()
		s.Files = append(s.Files, file{"/etc/passwd", passwd}, file{"/etc/group", group})
	}
	s.Files = append(s.Files,
		file{"/etc/hosts", "127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost\n"},
		file{"/etc/hostname", "sandbox\n"},
		file{"/etc/resolv.conf", doors.ResolvConf})
	share := homes.Memory(l.Limits) / 2 // of the memory, as the kernel has it for a whole machine
	s.Tmpfs = []tmpfs{{"/dev/shm", share, "1777"}, {"/tmp", share, "1777"}, {"/var/tmp", share, "1777"}, {"/run", share, "755"}}
	return s
}

// openFiles is what a process may have open: as much as databases and browsers ask for.
const openFiles = 65536

// opened is what is handed down to a companion: the trees, and the files that they are, in the same order.
type opened struct {
	trees []tree
	files []*os.File
}

// open opens what a sandbox shows. Root opens it here and hands it down, since the sandbox's users may look into none of it.
func (d *Driver) open(h homes.Home, l *label, program string) (o opened, err error) {
	defer func() {
		if err != nil {
			closeAll(o.files)
		}
	}()
	if err := d.openRoot(&o, l, program); err != nil {
		return o, err
	}
	for _, p := range d.config.Paths {
		if err := o.add(p, tree{Target: p}); err != nil {
			return o, err
		}
	}
	for _, t := range []struct{ source, target string }{
		{boxDir(h), insideBox}, {h.HomeDir(), d.user().Home},
	} {
		if err := o.add(t.source, tree{Target: t.target, Writable: true}); err != nil {
			return o, err
		}
	}
	if err := o.add(program, tree{Target: insideProgram}); err != nil {
		return o, err
	}
	return o, d.openWork(&o, l, program)
}

// openRoot opens the root, or what of the host's is shown instead.
func (d *Driver) openRoot(o *opened, l *label, program string) error {
	if d.config.Root == "" {
		for _, p := range hostTree().paths {
			if err := o.add(p, tree{Target: p}); err != nil {
				return err
			}
		}
		return nil
	}
	if err := o.add(d.config.Root, tree{Target: "/"}); err != nil {
		return err
	}
	// Whom its files belong to there, they belong to in the sandbox.
	return mapTree(o.files[len(o.files)-1], d.config.Root, l.Mappings(), l.Mappings(), program)
}

// openWork opens the workspace. The files of a named one are shown as the sandbox's user's.
func (d *Driver) openWork(o *opened, l *label, program string) error {
	f, err := homes.OpenTree(cmp.Or(l.Resolved, l.Workspace), l.Resolved != "")
	if err != nil {
		return err
	}
	o.keep(f, tree{Target: workDir, Writable: true})
	if !l.Named {
		return nil
	}
	return d.mapOwner(f, l, program)
}

func (o *opened) add(path string, t tree) error {
	f, err := homes.OpenTree(path, false)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	t.File = err == nil && !info.IsDir()
	o.keep(f, t)
	return err
}

func (o *opened) keep(f *os.File, t tree) {
	o.trees, o.files = append(o.trees, t), append(o.files, f)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// arguments are the command line of the server. What is secret, or another at each start, comes on its standard input.
func (d *Driver) arguments(spec sandbox.Spec) []string {
	args := []string{
		insideProgram,
		"--listen", "unix:" + filepath.Join(insideBox, serverSocket),
		"--working-dir", workDir,
		"--state-dir", insideBox + "/state",
		"--env-file", "-",
		"--ready-fd", "1",
		"--plugins", "agent_skills", // what a kernel has beside IPython; costs nothing before there is one
	}
	switch {
	case spec.OrphanAfter < 0:
		args = append(args, "--keep")
	case spec.OrphanAfter > 0:
		args = append(args, "--orphan-after", spec.OrphanAfter.String())
	}
	if n := homes.Processes(spec.Limits); n > 0 {
		args = append(args, "--processes", strconv.Itoa(n))
	}
	return args
}

// taken begins the names of the variables that are for the server itself.
const taken = "SANDBOXD_"

// tells is what the server is told on its standard input: the environment of its programs, and what is its own. Each variable
// is ended by a NUL byte, which none can have, and all of them by one more: a server that is not told all serves nobody.
func (d *Driver) tells(key string, spec sandbox.Spec, mark string) string {
	var b strings.Builder
	for _, v := range d.programs(spec, mark) {
		if !strings.HasPrefix(v, taken) {
			b.WriteString(v + "\x00")
		}
	}
	for _, v := range slices.Concat([]string{"OWNER=" + spec.Owner}, []string{"EPOCH=" + strconv.FormatUint(spec.Epoch, 10)}, []string{"KEY=" + key}) {
		b.WriteString(taken + v + "\x00")
	}
	return b.String() + "\x00"
}
