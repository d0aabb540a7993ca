package server

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/mcp"
	"github.com/sandtree/sandtree/sandbox/shell"
)

// Config says what a server serves and to whom.
type Config struct {
	Key   string   // that requests must bring, except those for /alive and /server_info; "" asks for none
	Dir   string   // working directory, absolute, made if missing: where the shell starts and what relative paths are below
	Hosts []string // names by which a server without Key may be asked over TCP, besides addresses and names that no stranger can have
	Owner string   // whose sandbox this is; for logs
	Epoch uint64   // of the controller that starts the server; lower ones are refused from then on

	// StateDir is where the record of actions and sessions is, which lets the next server go on after this one is
	// killed; made if missing, for this user only. "" keeps it in memory: then nothing survives.
	StateDir string
	// Mark is the value of SANDTREE_SANDBOX in the environment of everything the server starts, by which the next server
	// finds what is left of it; it must be no other sandbox's. "" makes one from StateDir.
	Mark string

	Keep        bool          // live without a controller
	OrphanAfter time.Duration // without a request before the server counts as orphaned; 0 means 10 minutes

	Env        []string            // whole environment of programs, KEY=VALUE; SANDBOXD_PID and SANDTREE_SANDBOX are added
	User       *syscall.Credential // that programs run as and new files belong to; nil: the server's own
	Cgroup     string              // directory of the cgroup that programs run in; "" none
	Processes  int                 // RLIMIT_NPROC of programs where there is no Cgroup; 0 leaves it
	NoChange   time.Duration       // soft timeout: how long a command may print nothing new; 0 means 10 s
	Shell      *shell.Prepared     // the main one, if it is the right one: see PrepareShell
	State      *State              // what StateDir has, if that is the right one: see OpenState
	FilesRoots []string            // absolute directories that native file requests may name, besides Dir
	Plugins    []string            // asked for by an OpenHands client: jupyter, agent_skills, vscode
	Browser    bool                // pages can be browsed, if there is a Chromium; it starts with the first
	Downloads  bool                // with Browser: make .downloads in Dir at the start, as OpenHands' clients expect
	MCP        []mcp.Server        // tool servers, until they are replaced; none starts before it is used

	PluginTimeout time.Duration // in which the plugins asked for must be ready, else the server fails to start; 0 means 2 minutes
	VSCode        VSCode        // of the plugin vscode
	Viewer        net.Listener  // where files are shown as pages to browsers in the sandbox, without a key; nil nowhere. Closed by the server
	ViewerFile    string        // where Viewer's address is written down; "" nowhere

	MaxBody   int64 // bytes of a request that is no upload; 0 means 64 MiB
	MaxOutput int   // bytes held of one action's output for readers that are slow or come again; 0 means 1 MiB

	// Crowded, if not nil, is told when several actions are performed at a time, and when that has been over for a second.
	Crowded func(many bool)

	// Adopt makes the process the parent of its orphaned descendants, so that it can end them, and ends every child of
	// the process on Shutdown. Only for a process that is nothing but the server.
	Adopt   bool
	Version string       // of the program, for those who ask; "" is "dev"
	Log     *slog.Logger // nil discards
}

const (
	defaultOrphanAfter   = 10 * time.Minute
	defaultPluginTimeout = 2 * time.Minute // the original's

	defaultMaxBody   = 64 << 20 // a command of 5 MB is to work, and JSON can be six times its text
	defaultMaxOutput = 1 << 20
)

// plugins are those that an OpenHands launcher names.
var plugins = []string{"jupyter", "agent_skills", "vscode"}

// check gives c with its defaults, or the error Invalid that names the field.
func (c Config) check() (Config, error) {
	invalid := func(field string, err error) (Config, error) {
		return c, &sandbox.Error{Code: sandbox.Invalid, Op: "server." + field, Err: err}
	}
	if !filepath.IsAbs(c.Dir) {
		return invalid("Dir", fmt.Errorf("%q is not an absolute path", c.Dir))
	}
	for field, n := range map[string]int64{"OrphanAfter": int64(c.OrphanAfter), "Processes": int64(c.Processes),
		"NoChange": int64(c.NoChange), "PluginTimeout": int64(c.PluginTimeout), "MaxBody": c.MaxBody, "MaxOutput": int64(c.MaxOutput)} {
		if n < 0 {
			return invalid(field, errors.New("is negative"))
		}
	}
	for _, p := range c.Plugins {
		if !slices.Contains(plugins, p) {
			return invalid("Plugins", fmt.Errorf("no plugin is called %q: there are %s", p, strings.Join(plugins, ", ")))
		}
	}
	if c.OrphanAfter == 0 {
		c.OrphanAfter = defaultOrphanAfter
	}
	if c.PluginTimeout == 0 {
		c.PluginTimeout = defaultPluginTimeout
	}
	if c.MaxBody == 0 {
		c.MaxBody = defaultMaxBody
	}
	if c.MaxOutput == 0 {
		c.MaxOutput = defaultMaxOutput
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.StateDir != "" {
		dir, err := filepath.Abs(c.StateDir)
		if err != nil {
			return invalid("StateDir", err)
		}
		c.StateDir = dir
	}
	if c.Mark == "" {
		c.Mark = sandbox.RandomHex(8)
		if c.StateDir != "" {
			sum := sha256.Sum256([]byte(c.StateDir))
			c.Mark = hex.EncodeToString(sum[:8])
		}
	}
	return c, nil
}

// Names of variables.
const (
	EnvMark = "SANDTREE_SANDBOX" // in programs: Config.Mark
	EnvPID  = "SANDBOXD_PID"     // in programs: the process that serves them
	EnvKey  = "SESSION_API_KEY"  // OpenHands' name for the key; programs never have it
)

// environment is that of programs: whose sandbox they are in and which process serves it, and never the server's key.
func (c Config) environment() []string {
	env := make([]string, 0, len(c.Env)+2)
	for _, v := range c.Env {
		if name, _, _ := strings.Cut(v, "="); name != EnvMark && name != EnvPID && name != EnvKey {
			env = append(env, v)
		}
	}
	return append(env, EnvMark+"="+c.Mark, fmt.Sprintf("%s=%d", EnvPID, os.Getpid()))
}

// fileMark is Mark for the names of files: letters and digits, so that it is no pattern, no path and no beginning of
// another one's.
func (c Config) fileMark() string {
	if strings.Trim(c.Mark, "0123456789abcdefghijklmnopqrstuvwxyz") == "" {
		return c.Mark
	}
	sum := sha256.Sum256([]byte(c.Mark))
	return hex.EncodeToString(sum[:8])
}

func (c Config) version() string { return cmp.Or(c.Version, "dev") }

func (c Config) has(plugin string) bool { return slices.Contains(c.Plugins, plugin) }
