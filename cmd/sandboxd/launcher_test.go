package main

import (
	"log/slog"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/server"
)

// configured is what a command line comes to.
func configured(t *testing.T, args, env []string) (*flags, server.Config, error) {
	t.Helper()
	f, err := parse(append([]string{"3000"}, args...), env)
	if err != nil {
		return nil, server.Config{}, err
	}
	c, err := f.config(env, "", slog.New(slog.DiscardHandler))
	return f, c, err
}

// Each flag and each variable of OpenHands' launchers has its effect or is said to have none. Those of users are in
// accounts_test.go, those that a running server shows in package server's tests.
func TestWhatLaunchersSay(t *testing.T) {
	dir := t.TempDir()
	says := func(c server.Config) any { return c.VSCode.Off }
	for _, row := range []struct {
		args, env string
		get       func(server.Config) any
		want      any
	}{
		{"", "", func(c server.Config) any { return c.Keep }, true},
		{"--working-dir " + dir, "", func(c server.Config) any { return c.Dir }, dir},
		{"--plugins jupyter agent_skills vscode", "", func(c server.Config) any { return c.Plugins }, []string{"jupyter", "agent_skills", "vscode"}},
		{"--plugins=jupyter", "", func(c server.Config) any { return c.Plugins }, []string{"jupyter"}},
		{"", "", func(c server.Config) any { return c.Browser }, true},
		{"--enable-browser", "", func(c server.Config) any { return c.Browser }, true},
		{"--no-enable-browser", "", func(c server.Config) any { return c.Browser }, false},
		{"", "NO_CHANGE_TIMEOUT_SECONDS=30", func(c server.Config) any { return c.NoChange }, 30 * time.Second},
		{"", "", func(c server.Config) any { return c.NoChange }, time.Duration(0)},
		{"", "INIT_PLUGIN_TIMEOUT=7", func(c server.Config) any { return c.PluginTimeout }, 7 * time.Second},
		{"", "VSCODE_PORT=40001", func(c server.Config) any { return c.VSCode.Port }, 40001},
		{"", "", says, "VSCODE_PORT is not set: set it to a free port"},
		{"", "VSCODE_PORT=many", says, `VSCODE_PORT: "many" is no port: set it to a free one`},
		{"", "VSCODE_PORT=0", says, `VSCODE_PORT: "0" is no port: set it to a free one`},
		{"", "VSCODE_PORT=65536", says, `VSCODE_PORT: "65536" is no port: set it to a free one`},
		{"", "OPENVSCODE_SERVER_ROOT=/r", func(c server.Config) any { return c.VSCode.Root }, "/r"},
		{"", "OPENVSCODE_SERVER_BASE_PATH=/b", func(c server.Config) any { return c.VSCode.BasePath }, "/b"},
		{"", "RUNTIME_ID=x RUNTIME_URL=https://h/x", func(c server.Config) any { return c.VSCode.BasePath }, "/x/vscode"},
		{"", "RUNTIME_ID=x RUNTIME_URL=https://h/x/y", func(c server.Config) any { return c.VSCode.BasePath }, "/x/vscode"},
		{"", "RUNTIME_ID=x RUNTIME_URL=https://h/xy", func(c server.Config) any { return c.VSCode.BasePath }, ""},
		{"", "RUNTIME_ID=x RUNTIME_URL=https://x.h/", func(c server.Config) any { return c.VSCode.BasePath }, ""},
		{"", "RUNTIME_URL=https://h/", func(c server.Config) any { return c.VSCode.BasePath }, ""},
		{"", "", func(c server.Config) any { return len(c.Hosts) }, 0},
		{"--host a.example --host b.example", "SANDBOXD_HOSTS=c.example,d.example RUNTIME_URL=https://e.example:80/x",
			func(c server.Config) any { return c.Hosts }, []string{"a.example", "b.example", "c.example", "d.example", "e.example"}},
		{"", "", func(c server.Config) any { return c.VSCode.Folder }, "/workspace"},
		{"", "WORKSPACE_MOUNT_PATH_IN_SANDBOX=/m", func(c server.Config) any { return c.VSCode.Folder }, "/m"},
		{"", "", func(c server.Config) any { return c.VSCode.Settings }, "/workspace"},
		{"", "WORKSPACE_BASE=/s", func(c server.Config) any { return c.VSCode.Settings }, "/s"},
	} {
		_, c, err := configured(t, strings.Fields(row.args), strings.Fields(row.env))
		if err != nil || !reflect.DeepEqual(row.get(c), row.want) {
			t.Errorf("%s %s: %v, %v; want %v", row.args, row.env, row.get(c), err, row.want)
		}
	}
}

// What has no effect is said to have none, unless launchers set it every time.
func TestWhatHasNoEffectIsSaid(t *testing.T) {
	for _, row := range []struct{ args, env, says string }{
		{"--from-the-future 7 --other=secret --from-the-future 8", "", "flags that mean nothing here: --from-the-future --other"},
		{"", "RUNTIME_MAX_MEMORY_GB=3", "RUNTIME_MAX_MEMORY_GB=3 bounds nothing"},
		{"", "RUNTIME_MEMORY_MONITOR=yes", "RUNTIME_MEMORY_MONITOR: memory is not logged"},
		{"", "LOG_TO_FILE=true", "LOG_TO_FILE: the log goes to standard error"},
		{"", "RUNTIME_MEMORY_MONITOR=False LOCAL_RUNTIME_MODE=1 OPENHANDS_REPO_PATH=/x LOG_ALL_EVENTS=true OPENAI_API_KEY=x port=1 PYTHONUNBUFFERED=1", ""},
	} {
		f, _, err := configured(t, strings.Fields(row.args), strings.Fields(row.env))
		if err != nil {
			t.Errorf("%s %s: %v", row.args, row.env, err)
			continue
		}
		said := slices.ContainsFunc(f.notes, func(n string) bool { return strings.HasPrefix(n, row.says) })
		if row.says == "" && len(f.notes) > 0 || row.says != "" && !said {
			t.Errorf("%s %s: %q, want %q", row.args, row.env, f.notes, row.says)
		}
	}
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	for _, row := range []struct{ args, env string }{
		{"", "NO_CHANGE_TIMEOUT_SECONDS=x"}, {"", "NO_CHANGE_TIMEOUT_SECONDS=0"}, {"", "INIT_PLUGIN_TIMEOUT=-1"}, {"", "INIT_PLUGIN_TIMEOUT=1e3"},
		{"", "INIT_PLUGIN_TIMEOUT=99999999999"}, {"", "RUNTIME_MAX_MEMORY_GB=much"}, {"--user-id x", ""},
		{"--browsergym-eval-env x --no-enable-browser", ""}, {"--enable-browser=perhaps", ""},
	} {
		if _, _, err := configured(t, strings.Fields(row.args), strings.Fields(row.env)); sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("%s %s: %v", row.args, row.env, err)
		}
	}
}

func TestHowTheLogIsWritten(t *testing.T) {
	for env, want := range map[string]struct {
		format string
		level  slog.Level
	}{
		"":                          {"", slog.LevelInfo},
		"LOG_JSON=1":                {"json", slog.LevelInfo},
		"LOG_JSON=True":             {"json", slog.LevelInfo},
		"LOG_JSON=0":                {"", slog.LevelInfo},
		"DEBUG=1":                   {"", slog.LevelDebug},
		"LOG_LEVEL=ERROR":           {"", slog.LevelError},
		"LOG_LEVEL=WARN DEBUG=true": {"", slog.LevelDebug},
		"LOG_LEVEL=CRITICAL":        {"", slog.LevelInfo},
	} {
		f, _, err := configured(t, nil, strings.Fields(env))
		if err != nil || f.logFormat != want.format || f.logLevel != want.level {
			t.Errorf("%s: %q %v, %v; want %v", env, f.logFormat, f.logLevel, err, want)
		}
	}
}

func TestListenViewer(t *testing.T) {
	for _, base := range []int{0, 30000, 65000, 65534, 65535} {
		ln, err := listenViewer(&net.TCPAddr{Port: base})
		if err != nil {
			if base < 65000 {
				t.Error(err)
			}
			continue
		}
		a := ln.Addr().(*net.TCPAddr)
		if a.Port <= base || a.Port > base+1024 || !a.IP.IsLoopback() {
			t.Errorf("%v above %d", a, base)
		}
		ln.Close()
	}
}
