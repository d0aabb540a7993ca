package docker

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

func TestConfigRefused(t *testing.T) {
	for field, values := range map[string]map[string]any{
		"image":        {"image": "not an image"},
		"pull":         {"pull": "sometimes"},
		"reach":        {"reach": "telepathy"},
		"workdir":      {"workdir": "relative"},
		"home":         {"home": "/a/../b"},
		"user":         {"user": "openhands"},
		"platform":     {"platform": "linux"},
		"gpus":         {"gpus": "0,,1"},
		"mounts":       {"mounts": []string{"/only"}},
		"publish":      {"publish": []string{"http"}},
		"port_range":   {"port_range": "9-3"},
		"port_address": {"port_address": "localhost"},
		"extra":        {"extra": `{"ShmSise": 1}`},
		"extra: Binds": {"extra": `{"binds": ["/:/host"]}`},
		"env":          {"env": map[string]any{"SANDBOXD_KEY": "x"}},
		"network":      {"reach": "port", "network": "none"},
		"network: \"":  {"reach": "port", "network": "filtered"},
		"read_only":    {"reach": "remote", "read_only": true},
		"auth_file":    {"auth_file": "/no/such/file"},
		"host":         {"host": "gopher://x"},
		"unknown_key":  {"unknown_key": 1},
	} {
		_, err := Open(backends.Options{StateDir: t.TempDir(), Values: values})
		if sandbox.CodeOf(err) != sandbox.Invalid || !strings.Contains(err.Error(), field) {
			t.Errorf("%v: %v", values, err)
		}
	}
	if _, err := New(Config{}); sandbox.CodeOf(err) != sandbox.Invalid {
		t.Errorf("without a state directory: %v", err)
	}
}

// Nobody should have to know of a setting for the sandbox to have no way around its policy.
func TestNetworkByDefault(t *testing.T) {
	usual := networkBridge
	if os.Geteuid() == 0 {
		usual = networkFiltered
	}
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{}, usual},
		{Config{Network: networkBridge}, networkBridge},
		{Config{Reach: reachPort}, networkBridge},
		{Config{Runtime: "runsc"}, networkBridge},
		{Config{Host: "tcp://192.0.2.1:2376"}, networkBridge},
		{Config{Publish: []string{"3000"}}, networkBridge},
		{Config{Networks: []string{"other"}}, networkBridge},
	} {
		var log bytes.Buffer
		c.config.StateDir, c.config.Log = t.TempDir(), slog.New(slog.NewTextHandler(&log, nil))
		d, err := New(c.config)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.config.Network; got != c.want {
			t.Errorf("%+v: %q, want %q", c.config, got, c.want)
		}
		if warned := strings.Contains(log.String(), "egress is not enforced"); warned != (c.want == networkBridge) {
			t.Errorf("%+v: it says %q", c.config, &log)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestParseMount(t *testing.T) {
	for text, want := range map[string]mountSpec{
		"/a:/b":              {source: "/a", target: "/b", mode: "rw"},
		"/a/:/b:ro":          {source: "/a", target: "/b", mode: "ro"},
		"/a:/b:overlay":      {source: "/a", target: "/b", mode: "overlay"},
		"cache:/b":           {source: "cache", target: "/b", mode: "rw", volume: true},
		"volume:cache:/b:ro": {source: "cache", target: "/b", mode: "ro", volume: true},
	} {
		if want.mode == modeOverlay && os.Geteuid() != 0 {
			continue // which only root can clear away
		}
		if m, err := parseMount(text); err != nil || m != want {
			t.Errorf("%s: %+v, %v", text, m, err)
		}
	}
	for _, text := range []string{"", "/a", "/a:b", "a/b:/c", "/a:/", "/a:/b:rw:ro", "/a:/b:rx", "cache:/b:overlay", "volume:/a:/b",
		"/a,b:/c:overlay", "/a:/.sandtree/box", "/a:/b/../c", ":/b"} {
		if m, err := parseMount(text); err == nil {
			t.Errorf("%q is %+v", text, m)
		}
	}
}

func TestSocketsOfTheHostAreNotMounted(t *testing.T) {
	dir := t.TempDir()
	l := listenIn(t, dir)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(l, link); err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{l, link} {
		if _, err := (Config{StateDir: t.TempDir(), Mounts: []string{source + ":/sock"}}).parseMounts(); err == nil {
			t.Errorf("%s is mounted", source)
		}
	}
	if _, err := os.Stat("/var/run/docker.sock"); err == nil {
		for _, source := range []string{"/", "/var/run", "/run"} {
			if _, err := (Config{StateDir: t.TempDir(), Mounts: []string{source + ":/host:ro"}}).parseMounts(); err == nil {
				t.Errorf("%s is mounted, and in it the engine's socket", source)
			}
		}
	}
}

// What is mounted must show neither the engine's socket, wherever that is, nor the keys of other sandboxes.
func TestNothingOfOursIsMounted(t *testing.T) {
	dir := t.TempDir()
	c := Config{StateDir: filepath.Join(dir, "project", "state"), Host: "unix://" + listenIn(t, dir)}
	link := filepath.Join(t.TempDir(), "link")
	if err := errors.Join(os.MkdirAll(filepath.Join(c.StateDir, "docker", "other"), 0o700), os.Symlink(c.StateDir, link)); err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{dir, filepath.Join(dir, "project"), c.StateDir, link, filepath.Join(c.StateDir, "docker", "other")} {
		with := c
		with.Mounts = []string{source + ":/host:ro"}
		if _, err := New(with); sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("%s is mounted: %v", source, err)
		}
	}
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, workspace := range []string{dir, filepath.Join(dir, "project"), link} {
		if _, err := d.Start(t.Context(), sandbox.Spec{ID: "a", Workspace: workspace}); sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("a sandbox works in %s: %v", workspace, err)
		}
	}
}

func TestExtra(t *testing.T) {
	c := Config{Extra: `{"ShmSize": 67108864, "Sysctls": {"net.ipv4.ip_unprivileged_port_start": "0"}}`}
	var h container.HostConfig
	if err := c.addExtra(&h); err != nil || h.ShmSize != 1<<26 || len(h.Sysctls) != 1 {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestExitOf(t *testing.T) {
	for code, want := range map[string]sandbox.Exit{
		"0": {}, "3": {Code: 3}, "143": {Code: -1, Signal: 15}, "137": {Code: -1, Signal: 9, Memory: true}, "255": {Code: 255},
	} {
		if got := exitOf(code, code == "137"); got != want {
			t.Errorf("%s: %+v", code, got)
		}
	}
	if got := exitOf("", false); got.Code != -1 || got.Reason == "" {
		t.Errorf("nobody knows: %+v", got)
	}
}

func TestIgnored(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".dockerignore"), []byte("# no\n*.log\nbuild\n**/secret\n!build/keep\n/top\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	i, err := readIgnored(root)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"a.log": true, "x/a.log": false, "build": true, "build/x/y": true, "build/keep": false,
		"secret": true, "a/b/secret/c": true, "top": true, "main.go": false} {
		if got := i.has(path); got != want {
			t.Errorf("%s is ignored: %v", path, got)
		}
	}
}
