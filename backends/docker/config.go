package docker

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/docker/docker/client"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// Config says how sandboxes are placed. Only StateDir is needed.
type Config struct {
	// StateDir is the directory below which the sandboxes are, in docker/ID; made if it is missing. Whoever uses the same
	// directory and engine shares the sandboxes.
	StateDir string `koanf:"-"`
	// Sandboxd is the path of the server's program; "" looks beside the running program, then on PATH.
	Sandboxd string `koanf:"sandboxd"`

	// Host is the engine's address; "" takes DOCKER_HOST of Environ, and then the usual socket.
	Host string `koanf:"host"`
	// Reach says how a server is reached: "socket" (a Unix socket in a mounted directory), "port" (a port of the loopback, where the
	// runtime shares files but no sockets) or "remote" (a port of the engine's machine, which shares nothing with this one:
	// sandboxd is copied into each container). "" is "remote" for an engine that is not on a Unix socket of Linux, "port" for
	// runtimes with a kernel of their own, else "socket".
	Reach string `koanf:"reach"`

	Image    string `koanf:"image"`    // that containers are made of, with a bash; "" means debian:bookworm-slim
	Pull     Pull   `koanf:"pull"`     // when the image is pulled; "" is PullMissing
	Platform string `koanf:"platform"` // as in "linux/arm64"; "" is the engine's own
	Runtime  string `koanf:"runtime"`  // as the engine knows it: "runsc", "kata"; "" is the engine's default, runc

	// Workdir is where the workspace is in the container; "" means /workspace.
	Workdir string `koanf:"workdir"`
	// User is who programs run as, as in "1000" or "1000:100"; they have no capabilities whoever it is. "" is whom the
	// workspace belongs to, so that files keep their owner; and where none is named this program's own user, or 1000 if
	// that is root. A workspace of root's is refused unless anybody may write there, or User is "0".
	User string `koanf:"user"`
	// Home is HOME of the programs; "" gives each sandbox an empty directory of its own, at /home/sandbox.
	Home string `koanf:"home"`
	// Env are variables of all programs in all sandboxes; those of a spec come after them.
	Env map[string]string `koanf:"env"`

	// Mounts are what a container has of the engine's machine, each SOURCE:TARGET[:MODE]. A SOURCE that is an absolute path is a
	// directory or file; any other, or one behind "volume:", is a named volume. MODE is "rw" (also if there is none), "ro",
	// or "overlay": what is written goes into a directory of the sandbox and ends with it.
	Mounts []string `koanf:"mounts"`
	// Network is "filtered", "none", "bridge", "host" or the name of a network; Networks are more to be connected to. With
	// "filtered" a container has no network, and its programs get out through this process, which asks the policy of the
	// spec (docs/egress.md): that needs root on the engine's machine, and nothing in Networks and Publish. "" is "filtered"
	// where that is so, else "bridge", by which neighbours, the engine's machine and its private networks are reached.
	Network  string   `koanf:"network"`
	Networks []string `koanf:"networks"`
	// Publish are ports of the sandbox that the engine's machine opens, as in "3000" or "53/udp", each on a free port of
	// PortRange ("" means 30000-39999) at PortAddress ("" means 127.0.0.1). Another one is taken at each start if that
	// one is in use.
	Publish     []string `koanf:"publish"`
	PortRange   string   `koanf:"port_range"`
	PortAddress string   `koanf:"port_address"`

	GPUs     string   `koanf:"gpus"`      // "all", a number, or ids as in "0,2"; "" none
	CapAdd   []string `koanf:"cap_add"`   // capabilities that programs of root can have; all others are dropped
	ReadOnly bool     `koanf:"read_only"` // the container's root; /tmp, /var/tmp and /run are in memory then
	Seccomp  string   `koanf:"seccomp"`   // "" is our own profile, "default" the engine's, else the path of a profile
	// Extra are members of the engine API's HostConfig, as in {"ShmSize": 67108864}, which are set last and so can undo what makes
	// a container tight. Those that have a field here are Invalid.
	Extra string `koanf:"extra"`

	// Storage is where a sandbox has its workspace, unless that is named, and its home: in a "directory" of the host, which is
	// the default, or in "memory", for which it counts, gone when the container ends. For engines of this machine.
	Storage string `koanf:"storage"`
	// Forget lets a sandbox in memory be stopped when nobody uses it, though its files are gone then.
	Forget bool `koanf:"forget"`

	// KeepAlive lets sandboxes live without a controller for ever, also those whose spec names no time.
	KeepAlive bool `koanf:"keep_alive"`

	// Auth are credentials by registry, as in "ghcr.io"; AuthFile is a file of `docker login`, "" the usual one of Environ.
	Auth     map[string]Auth `koanf:"auth"`
	AuthFile string          `koanf:"auth_file"`

	// Environ is where DOCKER_HOST, DOCKER_CERT_PATH, DOCKER_TLS_VERIFY, DOCKER_CONFIG and HOME are taken from, as
	// KEY=VALUE. Nothing of it reaches a sandbox.
	Environ []string `koanf:"-"`
	// OnConnection, if not nil, hears what filtered sandboxes do on the network.
	OnConnection func(sandbox.ID, sandbox.Connection) `koanf:"-"`
	// OnAudit, if not nil, hears what is told of programs; see backends.Options.
	OnAudit func(sandbox.ID, []sandbox.AuditRecord) error `koanf:"-"`
	// OnProgress, if not nil, hears how the pulling and building of images goes. It must not wait.
	OnProgress func(backends.Progress) `koanf:"-"`
	// Log is told what a caller would not see; nil discards.
	Log *slog.Logger `koanf:"-"`
}

// Pull says when an image is pulled before a start.
type Pull string

// When to pull.
const (
	PullMissing Pull = "missing" // if the engine does not have it
	PullAlways  Pull = "always"  // and so use what the tag names now
	PullNever   Pull = "never"   // a start fails if the engine does not have it
)

// How a server is reached.
const (
	reachSocket = "socket"
	reachPort   = "port"
	reachRemote = "remote"
)

const (
	defaultImage     = "debian:bookworm-slim"
	defaultWorkdir   = "/workspace"
	defaultPorts     = "30000-39999" // the original's range of servers
	defaultAddress   = "127.0.0.1"
	defaultUser      = 1000 // the original's
	sandboxHome      = "/home/sandbox"
	inside           = "/.sandtree" // where a container has what is ours
	insideProgram    = inside + "/sandboxd"
	insideBox        = inside + "/box" // home.boxDir
	serverPort       = "60000/tcp"     // of a server that is reached by a port; the original's remote runtimes have it
	labelPrefix      = "sandtree."
	containerPrefix  = "sandtree-"
	networkBridge    = "bridge" // the engine's own
	networkHost      = "host"
	networkNone      = "none"
	networkFiltered  = "filtered"
	seccompOfEngine  = "default"
	environmentTaken = "SANDBOXD_" // what the server is told begins with it
)

// sharingSockets are the runtimes whose containers are processes of the engine's kernel, and so make sockets that others can
// connect to. "" is the engine's default, which can be another if somebody has configured it so.
var sharingSockets = []string{"", "runc", "crun", "youki", "io.containerd.runc.v2"}

// shared says whether the engine's machine is this one, so that what is here can be mounted.
func (c Config) shared() bool { return c.Reach != reachRemote }

func (c Config) withDefaults() Config {
	for _, field := range []struct {
		value *string
		usual string
	}{{&c.Image, defaultImage}, {&c.Workdir, defaultWorkdir}, {&c.PortRange, defaultPorts}, {&c.PortAddress, defaultAddress}, {(*string)(&c.Pull), string(PullMissing)}} {
		if *field.value == "" {
			*field.value = field.usual
		}
	}
	if c.Host == "" {
		c.Host = c.environ("DOCKER_HOST")
	}
	if c.Host == "" {
		c.Host = client.DefaultDockerHost
	}
	if c.Reach == "" {
		switch {
		case !strings.HasPrefix(c.Host, "unix://") || runtime.GOOS != "linux":
			c.Reach = reachRemote
		case slices.Contains(sharingSockets, c.Runtime):
			c.Reach = reachSocket
		default:
			c.Reach = reachPort
		}
	}
	if c.Network == "" {
		c.Network = networkBridge
		if c.Reach == reachSocket && os.Geteuid() == 0 && len(c.Networks) == 0 && len(c.Publish) == 0 {
			c.Network = networkFiltered
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// environ is the value of a variable of Environ, "" if there is none.
func (c Config) environ(name string) string {
	for i := len(c.Environ) - 1; i >= 0; i-- {
		if k, v, ok := strings.Cut(c.Environ[i], "="); ok && k == name {
			return v
		}
	}
	return ""
}

// client makes the client of the engine, which speaks the newest version that both know.
func (c Config) client() (*client.Client, error) {
	options := []client.Opt{client.WithHost(c.Host), client.WithAPIVersionNegotiation(), client.WithUserAgent("sandtree")}
	if dir := c.environ("DOCKER_CERT_PATH"); dir != "" && !strings.HasPrefix(c.Host, "unix://") && c.environ("DOCKER_TLS_VERIFY") != "" {
		options = append(options, client.WithTLSClientConfig(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")))
	}
	engine, err := client.NewClientWithOpts(options...)
	if err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	return engine, nil
}
