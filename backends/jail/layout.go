package jail

import (
	"os"
	"slices"
	"strconv"
	"sync"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/doors"
	"github.com/sandtree/sandtree/internal/stage"
	"github.com/sandtree/sandtree/sandbox"
)

// Where things are in every jail.
const (
	workDir  = "/workspace"
	stateDir = "/run/sandtree/state"
	diskDir  = "/run/sandtree/disk"
)

// hostPaths are what a jail without a root of its own shows of the host, as far as it is there: programs, and the files
// that they read to know where they are. Of /etc it is these alone, since what else is there may be secret: so may be what sets
// variables for everybody (environment, profile.d) or configures git.
var hostPaths = []string{
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
	"/etc/alternatives", "/etc/bash.bashrc", "/etc/fonts", "/etc/inputrc", "/etc/java", "/etc/ld.so.cache", "/etc/localtime",
	"/etc/nsswitch.conf", "/etc/os-release", "/etc/pki/ca-trust", "/etc/pki/tls/certs", "/etc/profile", "/etc/protocols",
	"/etc/services", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/timezone",
	"/sys/devices/system/cpu",
}

// hostTree is how they are shown: what is a link on the host is one in the jail, as /bin often is. It is looked up once; what
// comes to be there later is shown to the next controller's sandboxes.
var hostTree = sync.OnceValue(func() (t struct {
	mounts []stage.Mount
	links  []stage.Link
}) {
	for _, p := range hostPaths {
		if target, err := os.Readlink(p); err == nil {
			t.links = append(t.links, stage.Link{Path: p, Target: target})
		} else if _, err := os.Stat(p); err == nil {
			t.mounts = append(t.mounts, stage.Mount{Source: p, Target: p, Optional: true})
		}
	}
	return t
})

// layout says what the jail of a sandbox looks like, but for what the stage is handed down by descriptors, in o.
func (d *Driver) layout(l label, g cgroup.Group, o opened) (*stage.Spec, error) {
	raw, _, err := filterFor(l.Audit)
	if err != nil {
		return nil, err
	}
	s := &stage.Spec{Hostname: "sandbox", Filter: raw, OOMScore: homes.OOMScore, OpenFiles: openFiles, Doors: doorsFD}
	if asks(l.Audit) {
		s.Audit = auditFD
	}
	if n := homes.Processes(l.Limits); n > 0 {
		s.Processes = uint64(n + homes.Spare) // as the control group has it, and where there is none
	}
	if s.Root = o.root; s.Root == nil || !s.Root.Whole {
		d.same(s)
	}
	s.Mounts = append(s.Mounts, d.own(l, g)...)
	s.Mounts = append(s.Mounts, o.mounts...)
	return s, nil
}

// same adds what is the same in all jails of the driver: what they show of the host but for what the spec names, and small files.
func (d *Driver) same(s *stage.Spec) {
	if s.Root == nil {
		t := hostTree()
		s.Mounts, s.Links = slices.Clone(t.mounts), t.links
		passwd, group := homes.Accounts()
		s.Files = append(s.Files, stage.File{Path: "/etc/passwd", Content: []byte(passwd)}, stage.File{Path: "/etc/group", Content: []byte(group)})
	}
	for _, p := range d.config.Paths {
		s.Mounts = append(s.Mounts, stage.Mount{Source: p, Target: p})
	}
	s.Mounts = append(s.Mounts, stage.Mount{Kind: stage.Devices, Target: "/dev"})
	s.Files = append(s.Files,
		stage.File{Path: "/etc/hosts", Content: []byte("127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost\n")},
		stage.File{Path: "/etc/hostname", Content: []byte("sandbox\n")},
		stage.File{Path: "/etc/resolv.conf", Content: []byte(doors.ResolvConf)})
}

// own are the file systems that each jail has for itself.
func (d *Driver) own(l label, g cgroup.Group) []stage.Mount {
	share := homes.Memory(l.Limits) / 2 // of the memory, as the kernel has it for a whole machine
	mounts := []stage.Mount{
		{Kind: stage.Terminals, Target: "/dev/pts"},
		{Kind: stage.Tmpfs, Target: "/dev/shm", Size: share, Mode: 0o1777},
		{Kind: stage.Proc, Target: "/proc"},
		{Kind: stage.Tmpfs, Target: "/tmp", Size: share, Mode: 0o1777},
		{Kind: stage.Tmpfs, Target: "/var/tmp", Size: share, Mode: 0o1777},
		{Kind: stage.Tmpfs, Target: "/run", Size: share},
	}
	if dir := g.Dir(cgroup.Memory); dir != "" { // its own alone, so that it sees how near the end is
		mounts = append(mounts, stage.Mount{Source: dir, Target: memoryDir(), Optional: true})
	}
	return mounts
}

// memoryDir is where programs look for what bounds their memory.
func memoryDir() string {
	if homes.Tree().Unified(cgroup.Memory) {
		return "/sys/fs/cgroup"
	}
	return "/sys/fs/cgroup/memory"
}

// points are where those are put, and what a jail shows of the home and the workspace.
func (d *Driver) points() []string {
	return []string{"/proc", "/tmp", "/var/tmp", "/run", memoryDir(), workDir, d.user().Home}
}

const (
	// openFiles is what a process may have open: as much as databases and browsers ask for, and of 1024 such processes the
	// memory ends before the machine's own table of files does.
	openFiles = 65536
)

// The descriptors that a stage is handed down, besides that of its Spec.
const (
	readyFD   = stage.SpecFD + 1 + iota // it writes a byte to it when it serves
	keyFD                               // it reads its key, which the home has too, for the next process
	envFD                               // it reads the environment of its programs, which is secret and written nowhere
	listenFD                            // it serves
	doorsFD                             // it gives its doors
	auditFD                             // it has the filter that asks, if that does: see package audit
	programFD                           // it is executed from
)

func descriptor(n int) string { return "/dev/fd/" + strconv.Itoa(n) }

// arguments are the command line of the server; whose it is, it is told with its programs' environment.
func (d *Driver) arguments(spec sandbox.Spec) []string {
	args := []string{
		"--listen", descriptor(listenFD),
		"--working-dir", workDir,
		"--state-dir", stateDir,
		"--key-file", descriptor(keyFD),
		"--env-file", descriptor(envFD),
		"--ready-fd", strconv.Itoa(readyFD),
		"--plugins", "agent_skills", // what a kernel has beside IPython; costs nothing before there is one
	}
	if n := homes.Processes(spec.Limits); n > 0 {
		args = append(args, "--processes", strconv.Itoa(n))
	}
	return args
}
