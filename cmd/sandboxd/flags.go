package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/sandbox/shell"
)

// flags are the command line, in either of its forms, and the variables that OpenHands' launchers set.
type flags struct {
	set *pflag.FlagSet

	listen      string
	workingDir  string
	stateDir    string
	keyFile     string
	hosts       []string
	envFile     string
	owner       string
	epoch       uint64
	orphanAfter time.Duration
	keep        bool
	filesRoots  []string
	cgroup      string
	processes   int
	callSocket  string
	readyFD     int
	spare       int
	logFormat   string
	logLevel    slog.Level
	version     bool

	shell     *shell.Prepared // nil: none is prepared yet
	listener  net.Listener    // nil: it is not open yet
	caller    *caller         // nil: nobody can call
	announce  bool
	untold    bool // the file of variables had none
	openHands bool // the command line has OpenHands' form: a port comes first
	username  string
	userID    int
	plugins   []string
	browser   bool
	noBrowser bool
	evalEnv   string
	noChange  time.Duration

	pluginTimeout time.Duration
	code          server.VSCode
	mcpConfig     string

	notes []string // warnings for the log, which does not exist yet
}

var errHelp = errors.New("help")

const usageHead = `sandboxd performs actions inside a sandbox and serves them over HTTP.

Usage:
  sandboxd --listen unix:PATH|tcp:HOST:PORT [flags]
  sandboxd PORT [flags]          as OpenHands' launchers do: on all addresses, for ever

Examples:
  sandboxd --listen unix:/run/box/sock --working-dir /workspace --state-dir /run/box/state --key-file /run/box/key
  sandboxd --listen tcp:127.0.0.1:8000 --working-dir . --orphan-after 1h
  SESSION_API_KEY=… sandboxd 39222 --working-dir /workspace --plugins agent_skills jupyter --username openhands --user-id 1000

The key that requests must bring is the content of --key-file, or else SESSION_API_KEY; never an argument, which all can see.
Without one the server answers over TCP only who calls it by address, by a name without a dot or in .localhost, .local or
.internal, by the machine's own, or by one of --host, SANDBOXD_HOSTS (NAME,…) or RUNTIME_URL.

Flags:
`

// parse reads the command line. It asks for nothing of the file system, which may not be there yet: the jail is made meanwhile.
// Code of errors: Invalid.
func parse(args []string, environ []string) (*flags, error) {
	f := &flags{set: pflag.NewFlagSet("sandboxd", pflag.ContinueOnError), readyFD: -1}
	s := f.set
	s.SortFlags = false
	s.Usage = func() {}
	s.StringVar(&f.listen, "listen", "", "`address` to listen on: unix:PATH (for this user only) or tcp:HOST:PORT")
	s.StringVar(&f.workingDir, "working-dir", ".", "`directory` where the shell starts and relative paths begin; made if missing")
	s.StringVar(&f.stateDir, "state-dir", "", "`directory` for what the next sandboxd must know should this one be killed; none: nothing")
	s.StringVar(&f.keyFile, "key-file", "", "`file` with the key that requests must bring")
	s.StringArrayVar(&f.hosts, "host", nil, "`name` by which the server may be asked over TCP without a key; may be given again")
	s.StringVar(&f.envFile, "env-file", "", "`file` of variables for programs, KEY=VALUE each ended by a NUL byte; read once; - is standard input, where one more ends them all")
	s.StringVar(&f.owner, "owner", "", "`name` of the controller that this sandbox is for")
	s.Uint64Var(&f.epoch, "epoch", 0, "`number` of the controller's activation; requests with a lower one are refused")
	s.DurationVar(&f.orphanAfter, "orphan-after", 10*time.Minute, "end when nobody has asked for anything for this `time`")
	s.BoolVar(&f.keep, "keep", false, "never end for want of requests")
	s.StringArrayVar(&f.filesRoots, "files-root", nil, "`directory` that file requests may name besides the working directory; may be given again")
	s.StringVar(&f.cgroup, "cgroup", "", "`directory` of the cgroup that programs are put into")
	s.IntVar(&f.processes, "processes", 0, "most processes of this user while there is no cgroup: a `number` for RLIMIT_NPROC")
	s.StringVar(&f.callSocket, "call-socket", "", "`path` of a Unix socket where what --env-file - reads may be said too; who does is told there when the server answers")
	s.IntVar(&f.readyFD, "ready-fd", -1, "`descriptor` to write a byte to when the server answers")
	s.BoolVar(&f.announce, "announce", false, "write a w there before, if it waits for --env-file, when there is nothing else to do")
	s.IntVar(&f.spare, "spare-threads", 0, "`number` of threads to have before any program runs, which may leave none to be made")
	s.StringVar(&f.logFormat, "log-format", "", "json or text")
	level := s.String("log-level", "", "debug, info, warn or error")
	s.StringVar(&f.username, "username", "", "`user` that programs run as, made if missing; only root can")
	s.IntVar(&f.userID, "user-id", 1000, "`uid` of that user if it is made")
	s.StringArrayVar(&f.plugins, "plugins", nil, "`names` of what OpenHands asks for: jupyter, agent_skills, vscode")
	s.BoolVar(&f.browser, "enable-browser", true, "browse pages, if there is a Chromium, which starts with the first")
	s.BoolVar(&f.noBrowser, "no-enable-browser", false, "do not")
	s.StringVar(&f.evalEnv, "browsergym-eval-env", "", "accepted; the browser has no benchmarks")
	f.addMCP(s)
	s.BoolVar(&f.version, "version", false, "print the version")

	f.openHands = slices.ContainsFunc(args[:min(len(args), 1)], isNumber)
	s.ParseErrorsAllowlist.UnknownFlags = f.openHands // launchers of other versions know others
	if err := s.Parse(spread(args)); errors.Is(err, pflag.ErrHelp) {
		return f, errHelp
	} else if err != nil {
		return f, invalid("flags", fmt.Errorf("%w (see sandboxd --help)", err))
	}
	if f.version {
		return f, nil
	}
	if names := f.unknown(args); len(names) > 0 {
		f.notes = append(f.notes, "flags that mean nothing here: "+strings.Join(names, " "))
	}
	if err := f.level(*level, environ); err != nil {
		return f, err
	}
	if err := f.address(); err != nil {
		return f, err
	}
	return f, f.launcher(environ)
}

// spread gives each of the values behind --plugins, which takes any number, a flag of its own.
func spread(args []string) []string {
	var out []string
	many := false
	for _, a := range args {
		switch {
		case a == "--plugins":
			many = true
			continue
		case strings.HasPrefix(a, "-"):
			many = false
		case many:
			a = "--plugins=" + a
		}
		out = append(out, a)
	}
	return out
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 32)
	return err == nil
}

// address brings both forms of the address together.
func (f *flags) address() error {
	switch rest := f.set.Args(); {
	case f.openHands && f.listen != "":
		return invalid("--listen", errors.New("there is a port already"))
	case f.openHands && len(rest) > 1:
		f.notes = append(f.notes, fmt.Sprintf("arguments that mean nothing: %q", rest[1:]))
	case !f.openHands && len(rest) > 0:
		return invalid("arguments", fmt.Errorf("%q means nothing here (see sandboxd --help)", rest[0]))
	case !f.openHands && f.listen == "":
		return invalid("--listen", errors.New("is missing: unix:PATH or tcp:HOST:PORT"))
	}
	if f.openHands {
		f.listen = "tcp:" + net.JoinHostPort("0.0.0.0", f.set.Arg(0))
		// Their clients renew no lease, and think for longer than ten minutes.
		f.keep = f.keep || !f.set.Changed("orphan-after")
		if f.evalEnv != "" && f.noBrowser {
			return invalid("--browsergym-eval-env", errors.New("needs the browser, which is not enabled"))
		}
	}
	if f.orphanAfter <= 0 {
		return invalid("--orphan-after", errors.New("want a time above 0; see --keep"))
	}
	return nil
}

func (f *flags) level(name string, environ []string) error {
	switch {
	case f.logFormat == "" && truthy(variable(environ, "LOG_JSON")):
		f.logFormat = "json"
	case f.logFormat != "" && f.logFormat != "json" && f.logFormat != "text":
		return invalid("--log-format", fmt.Errorf("%q is neither json nor text", f.logFormat))
	}
	if name != "" {
		if err := f.logLevel.UnmarshalText([]byte(name)); err != nil {
			return invalid("--log-level", err)
		}
		return nil
	}
	if truthy(variable(environ, "DEBUG")) {
		f.logLevel = slog.LevelDebug
	} else if v := variable(environ, "LOG_LEVEL"); v != "" {
		_ = f.logLevel.UnmarshalText([]byte(v)) // Python has levels that we lack: then it is info
	}
	return nil
}

// truthy is what the original takes for yes.
func truthy(v string) bool {
	return slices.Contains([]string{"1", "true", "t", "yes", "y", "on"}, strings.ToLower(v))
}

func (f *flags) usage() string { return usageHead + f.set.FlagUsagesWrapped(100) }

// config makes the server's configuration, and the user that programs run as if that is asked for.
func (f *flags) config(environ []string, key string, log *slog.Logger) (server.Config, error) {
	c := server.Config{Owner: f.owner, Epoch: f.epoch, Keep: f.keep, OrphanAfter: f.orphanAfter, FilesRoots: f.filesRoots,
		Cgroup: f.cgroup, Processes: f.processes, NoChange: f.noChange, Plugins: f.plugins, StateDir: f.stateDir, Key: key, Hosts: f.hosts,
		Shell: f.shell, Browser: f.browser && !f.noBrowser, PluginTimeout: f.pluginTimeout, VSCode: f.code, Adopt: true, Version: version, Log: log}
	c.Downloads = c.Browser && f.openHands
	var err error
	if c.Dir, err = filepath.Abs(f.workingDir); err != nil {
		return c, invalid("--working-dir", err)
	}
	if c.MCP, err = f.toolServers(); err != nil {
		return c, err
	}
	c.Env = environ
	if f.envFile != "" {
		c = f.prepare(c, environ, log)
		extra, err := f.extra()
		if err != nil {
			return c, err
		}
		if extra, err = f.told(extra, &c); err != nil {
			return c, err
		}
		c.Mark = variable(extra, server.EnvMark)
		c.Env = overlay(environ, extra)
		if c.NoChange == 0 { // a driver has no other way to say it
			if c.NoChange, err = seconds(extra, "NO_CHANGE_TIMEOUT_SECONDS"); err != nil {
				return c, err
			}
		}
	}
	// After the variables: whoever hands both down by pipes sends the key when it has sent all of them.
	if f.keyFile != "" {
		b, err := os.ReadFile(f.keyFile)
		if err != nil {
			return c, invalid("--key-file", err)
		}
		if c.Key = strings.TrimSpace(string(b)); c.Key == "" {
			return c, invalid("--key-file", fmt.Errorf("%s is empty", f.keyFile))
		}
	}
	return c, f.as(&c, environ, log)
}
