package server_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/need"
)

// fakeEditor is a server of VS Code as far as its command line goes: it says what it was told, and that it is ready.
const fakeEditor = `#!/bin/sh
{ echo "cwd=$PWD"; for a; do echo "arg=$a"; done; [ -e /dev/fd/3 ] && echo "secret=$(cat /dev/fd/3)"; echo "password=$PASSWORD"; } > "$HOME/said.new"
mv "$HOME/said.new" "$HOME/said"
echo starting
%s
exec sleep 1000
`

// token is the answer of /vscode/connection_token; "" if it is null.
func (b *box) token() string {
	b.t.Helper()
	status, body := b.do("GET", "/vscode/connection_token", "")
	var answer struct{ Token *string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK {
		b.t.Fatalf("%d %s, %v", status, body, err)
	}
	if answer.Token == nil {
		return ""
	}
	return *answer.Token
}

// plugin is what /v1/info says of VS Code.
func (b *box) plugin() wire.Plugin {
	b.t.Helper()
	_, body := b.do("GET", wire.PathInfo, "")
	var info wire.Info
	if err := json.Unmarshal([]byte(body), &info); err != nil || len(info.Plugins) != 1 {
		b.t.Fatalf("%s, %v", body, err)
	}
	return info.Plugins[0]
}

// editorBox starts a server whose sandbox has a fake VS Code of that name, which says that it is ready in these words.
func editorBox(t *testing.T, name, ready string, change func(*server.Config)) (b *box, home string) {
	t.Helper()
	home = t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "bin", name), fmt.Appendf(nil, fakeEditor, ready), 0o755); err != nil {
		t.Fatal(err)
	}
	return start(t, func(c *server.Config) {
		c.Plugins = []string{"vscode"}
		c.Env = []string{"PATH=" + home + "/bin:" + os.Getenv("PATH"), "HOME=" + home}
		c.VSCode = server.VSCode{Port: need.Port(t), Settings: c.Dir}
		if err := os.MkdirAll(c.Dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(c)
		}
	}), home
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestOpenVSCodeServer(t *testing.T) {
	port := 0
	b, home := editorBox(t, "openvscode-server", "echo Web UI available at http://localhost", func(c *server.Config) {
		c.VSCode.BasePath = "/x/vscode"
		port = c.VSCode.Port
	})
	token := b.token()
	said, err := os.ReadFile(filepath.Join(home, "said"))
	if err != nil || !uuid.MatchString(token) {
		t.Fatalf("%q, %v", token, err)
	}
	want := fmt.Sprintf("cwd=%s\narg=--host\narg=0.0.0.0\narg=--port\narg=%d\narg=--connection-token-file\narg=/dev/fd/3\narg=--disable-workspace-trust\n"+
		"arg=--telemetry-level\narg=off\narg=--accept-server-license-terms\narg=--server-base-path\narg=/x/vscode\nsecret=%s\npassword=\n", b.dir, port, token)
	if string(said) != want {
		t.Errorf("%s\nwant %s", said, want)
	}
	info, err := os.Stat(filepath.Join(b.dir, ".vscode", "settings.json"))
	if err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("%v, %v", info, err)
	}
	if p := b.plugin(); p.State != "ready" {
		t.Errorf("%+v", p)
	}
	if env := b.native("env", run("env")); strings.Contains(env.Content, token) {
		t.Error("the token is in the shell's environment")
	}
}

func TestCodeServer(t *testing.T) {
	b, home := editorBox(t, "code-server", "echo '[x] info  HTTP server listening on http://0.0.0.0'", nil)
	said, err := os.ReadFile(filepath.Join(home, "said"))
	if token := b.token(); err != nil || token == "" || !strings.Contains(string(said), "password="+token+"\n") || strings.Contains(string(said), "arg="+token) {
		t.Errorf("%s, %v", said, err)
	}
	if !strings.Contains(string(said), "arg=--bind-addr\narg=0.0.0.0:") || !strings.Contains(string(said), "arg=--auth\narg=password\n") {
		t.Errorf("%s", said)
	}
}

// What keeps VS Code off is told, and keeps nothing else off.
func TestNoVSCode(t *testing.T) {
	taken, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		ready  string
		change func(*server.Config)
		says   string
	}{
		"no port":   {"", func(c *server.Config) { c.VSCode = server.VSCode{Off: "VSCODE_PORT is not set"} }, "VSCODE_PORT is not set"},
		"taken":     {"", func(c *server.Config) { c.VSCode.Port = taken.Addr().(*net.TCPAddr).Port }, "choose another"},
		"not there": {"", func(c *server.Config) { c.Env = []string{"PATH=/bin", "HOME=/"} }, "install one of them"},
		"ends":      {"echo no licence; exit 4", nil, "it ended with code 4; the last that it said: no licence"},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := editorBox(t, "openvscode-server", c.ready, c.change)
			if p := b.plugin(); p.State != "off" || !strings.Contains(p.Error, c.says) || b.token() != "" {
				t.Errorf("%+v, token %q; want %q", p, b.token(), c.says)
			}
			b.native("a", run("echo works")).wantRun(t, 0, "works")
		})
	}
}

func TestSettingsOfOthersStay(t *testing.T) {
	b, _ := editorBox(t, "openvscode-server", "echo UI available at x", func(c *server.Config) {
		if err := os.Mkdir(filepath.Join(c.Dir, ".vscode"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(c.Dir, ".vscode", "settings.json"), []byte("{}"), 0o644); err != nil {
			t.Fatal(err)
		}
	})
	if got, err := os.ReadFile(filepath.Join(b.dir, ".vscode", "settings.json")); string(got) != "{}" {
		t.Errorf("%q, %v", got, err)
	}
}

// A plugin that takes too long keeps the server from starting, which says so.
func TestPluginsThatTakeTooLong(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "openvscode-server"), fmt.Appendf(nil, fakeEditor, ""), 0o755); err != nil {
		t.Fatal(err)
	}
	b := begin(t, func(c *server.Config) {
		c.Plugins, c.PluginTimeout = []string{"vscode"}, 50*time.Millisecond
		c.Env = []string{"PATH=" + home + ":" + os.Getenv("PATH"), "HOME=" + home}
		c.VSCode = server.VSCode{Port: need.Port(t)}
	})
	err := <-b.served
	if sandbox.CodeOf(err) != sandbox.Unavailable || !strings.Contains(err.Error(), "INIT_PLUGIN_TIMEOUT") {
		t.Errorf("%v", err)
	}
	b.served <- nil
}
