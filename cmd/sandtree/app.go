package main

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/backends/docker"
	"github.com/sandtree/sandtree/backends/gvisor"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/backends/local"
	"github.com/sandtree/sandtree/internal/cli"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor/config"
)

// app is what the commands of one call share.
type app struct {
	call cli.Call
	env  []string
	json bool

	configFile, stateDir string
	set                  []string
	shown                shown

	loaded  *config.Loaded
	closers []func() error
}

func newApp(c cli.Call, env []string) *app { return &app{call: c, env: env} }

// flags are those of every command.
func (a *app) flags(f *pflag.FlagSet) {
	f.BoolVar(&a.json, "json", false, "write JSON, for programs")
	f.StringVar(&a.configFile, "config", "", "configuration `file`, .toml or .yaml (default: config.toml in ~/.config/sandtree or, for root, /etc/sandtree)")
	f.StringVar(&a.stateDir, "state-dir", "", "`directory` of the journal and the sandboxes (see sandtree config)")
	f.StringArrayVar(&a.set, "set", nil, "set a `key=value` of the configuration; may be repeated")
}

// drivers are those whose options can be configured.
var drivers = map[string]any{"docker": docker.Config{}, "gvisor": gvisor.Config{}, "jail": jail.Config{}, "local": local.Config{}}

// config loads the configuration, once.
func (a *app) config(more ...config.Setting) (*config.Loaded, error) {
	if a.loaded != nil {
		return a.loaded, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	settings, err := a.settings()
	if err != nil {
		return nil, err
	}
	a.loaded, err = config.Load(config.Sources{
		File: a.configFile, Env: a.env, Flag: append(settings, more...), Dir: dir, Root: os.Geteuid() == 0, Drivers: drivers,
	})
	return a.loaded, err
}

func (a *app) settings() ([]config.Setting, error) {
	var out []config.Setting
	for _, s := range a.set {
		key, value, ok := cut(s)
		if !ok {
			return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "--set", Err: errKeyValue(s)}
		}
		out = append(out, config.Setting{Key: key, Value: value, Flag: "--set"})
	}
	if a.stateDir != "" {
		out = append(out, config.Setting{Key: "state_dir", Value: a.stateDir, Flag: "--state-dir"})
	}
	return append(out, a.shown.settings()...), nil
}

// journal opens the journal alone, for commands that only look.
func (a *app) journal() (*journal.Journal, error) {
	c, err := a.config()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(c.JournalConfig().Path); os.IsNotExist(err) {
		return nil, nil // nothing has been run, and looking must not leave a file
	}
	j, err := journal.Open(c.JournalConfig())
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, j.Close)
	return j, nil
}

// close ends what the commands opened, the last first.
func (a *app) close() {
	for i := len(a.closers) - 1; i >= 0; i-- {
		if err := a.closers[i](); err != nil {
			a.log().Warn("closing", "err", err)
		}
	}
	a.closers = nil
}

func (a *app) log() *slog.Logger {
	if a.loaded == nil {
		return slog.New(slog.DiscardHandler)
	}
	var level slog.Level
	_ = level.UnmarshalText([]byte(a.loaded.Log.Level)) // checked by config
	options := &slog.HandlerOptions{Level: level}
	if a.loaded.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(a.call.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(a.call.Stderr, options))
}

// getenv is the value of a variable of ours; "" if it is not set.
func (a *app) getenv(name string) string {
	for i := len(a.env) - 1; i >= 0; i-- {
		if k, v, _ := cut(a.env[i]); k == name {
			return v
		}
	}
	return ""
}

// terminal is the descriptor of a stream that is a terminal.
func terminal(stream any) (fd int, ok bool) {
	f, ok := stream.(*os.File)
	if !ok {
		return -1, false
	}
	fd = int(f.Fd())
	return fd, term.IsTerminal(fd)
}

// paint gives colours for w, if it is a terminal and nobody has asked for none.
func (a *app) paint(w io.Writer) paint {
	_, ok := terminal(w)
	return paint(ok && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb")
}

// absolute is a path as seen from the working directory.
func absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	return filepath.Abs(path)
}
