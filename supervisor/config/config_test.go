package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/sandbox"
)

// options is what a driver has.
type options struct {
	Program string        `koanf:"program" kind:"path"`
	Key     string        `koanf:"key" secret:"true"`
	Wait    time.Duration `koanf:"wait"`
	Hidden  chan int      `koanf:"-"`
}

var drivers = map[string]any{"local": options{Wait: time.Second}}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func origin(t *testing.T, l *Loaded, key string) Value {
	t.Helper()
	for _, v := range l.Values {
		if v.Key == key {
			return v
		}
	}
	t.Fatalf("no value of %s", key)
	return Value{}
}

func TestDefaults(t *testing.T) {
	for _, c := range []struct {
		s    Sources
		want string
	}{
		{Sources{Env: []string{"HOME=/home/ann"}}, "/home/ann/.local/state/sandtree"},
		{Sources{Env: []string{"HOME=/home/ann", "XDG_STATE_HOME=/s"}}, "/s/sandtree"},
		{Sources{Env: []string{"HOME=/home/ann", "XDG_STATE_HOME=relative"}}, "/home/ann/.local/state/sandtree"},
		{Sources{Root: true, Env: []string{"HOME=/root", "XDG_STATE_HOME=/s"}}, "/var/lib/sandtree"},
	} {
		l, err := Load(c.s)
		if err != nil {
			t.Fatal(err)
		}
		if l.StateDir != c.want || l.Backend != "local" || l.Lease.TTL != 3*time.Second || l.File != "" {
			t.Errorf("%+v gives %+v", c.s, l.Config)
		}
		if v := origin(t, l, "lease.ttl"); v.From != "default" || v.Value != "3s" {
			t.Errorf("lease.ttl is %+v", v)
		}
	}
	l, _ := Load(Sources{Env: []string{"HOME=/h"}})
	if j := l.JournalConfig(); j != (journal.Config{Path: "/h/.local/state/sandtree/journal.db"}) {
		t.Errorf("journal: %+v", j)
	}
	if limits := l.SandboxLimits(); limits != (sandbox.Limits{}) {
		t.Errorf("limits: %+v", limits)
	}
}

func TestLaterSourcesWin(t *testing.T) {
	const inTOML = `
backend = "a"
queue = 7
orphan_after = "1h"
[journal]
sync = "full"
[lease]
ttl = "4s"
[restart]
[limits]
memory = "2 GB"
disk = 1000
network = "100M"
cpu = 2
cpu_shares = 512
affinity = "0-1"
swap = "1 GB"
swappiness = 20
files = "100k"
disk_read = "10 MB"
disk_write = "5 MB"
ports = "80,443"
[egress]
mode = "allow-list"
domains = ["example.com", "*.example.org"]
cidrs = ["192.0.2.0/24"]
[env]
GREETING = "hello $USER"
[backends.local]
program = "bin/x"
key = "s3cret"
`
	const inYAML = `
backend: a
queue: 7
orphan_after: 1h
journal: {sync: full}
lease: {ttl: 4s}
restart: {}
limits:
  {memory: 2 GB, disk: 1000, network: 100M, cpu: 2, cpu_shares: 512, affinity: 0-1, swap: 1 GB, swappiness: 20,
   files: 100k, disk_read: 10 MB, disk_write: 5 MB, ports: "80,443"}
egress: {mode: allow-list, domains: [example.com, "*.example.org"], cidrs: 192.0.2.0/24}
env: {GREETING: "hello $USER"}
backends: {local: {program: bin/x, key: s3cret}}
`
	for name, content := range map[string]string{"c.toml": inTOML, "c.yaml": inYAML} {
		file := write(t, name, content)
		l, err := Load(Sources{
			File: file, Dir: "/work",
			Env: []string{"HOME=/h", "SANDTREE_QUEUE=8", "SANDTREE_LEASE_TTL=5s", "SANDTREE_LOG_LEVEL=", "SANDTREE_ENV_Mixed=a=b",
				"SANDTREE_BACKENDS_LOCAL_WAIT=2s", "OTHER=1", "no variable"},
			Flag:    []Setting{{"queue", "9", "--set"}, {"state_dir", "s", "--state-dir"}},
			Drivers: drivers,
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c := l.Config
		if c.Backend != "a" || c.Queue != 9 || c.Lease.TTL != 5*time.Second || c.OrphanAfter != time.Hour || c.StateDir != "/work/s" {
			t.Errorf("%s: %+v", name, c)
		}
		if c.Limits != (Limits{
			CPU: 2, CPUShares: 512, Affinity: "0-1", Memory: 2e9, Swap: 1e9, Swappiness: 20, Disk: 1000, Files: 100e3,
			DiskRead: 10e6, DiskWrite: 5e6, Network: 100e6, Ports: "80,443",
		}) || c.JournalConfig().Sync != journal.SyncFull {
			t.Errorf("%s: %+v", name, c)
		}
		if want := (sandbox.Egress{
			Mode: sandbox.EgressAllowList, Domains: []string{"example.com", "*.example.org"}, CIDRs: []string{"192.0.2.0/24"},
		}); !reflect.DeepEqual(c.SandboxEgress(), want) {
			t.Errorf("%s: egress %+v", name, c.SandboxEgress())
		}
		if c.Env["GREETING"] != "hello $USER" || c.Env["Mixed"] != "a=b" || len(c.Env) != 2 {
			t.Errorf("%s: env %v", name, c.Env)
		}
		own := c.Backends["local"]
		if own["program"] != filepath.Join(filepath.Dir(file), "bin/x") || own["wait"] != 2*time.Second || own["key"] != "s3cret" {
			t.Errorf("%s: options %v", name, own)
		}
		for key, from := range map[string]string{
			"backend": file, "queue": "--set", "lease.ttl": "SANDTREE_LEASE_TTL", "log.level": "default",
			"env.Mixed": "SANDTREE_ENV_Mixed", "env.GREETING": file, "backends.local.wait": "SANDTREE_BACKENDS_LOCAL_WAIT",
		} {
			if got := origin(t, l, key).From; got != from {
				t.Errorf("%s: %s comes from %q, want %q", name, key, got, from)
			}
		}
		for _, key := range []string{"env.GREETING", "env.Mixed", "backends.local.key"} {
			if v := origin(t, l, key); !v.Secret || v.Value != masked {
				t.Errorf("%s: %s is shown as %v", name, key, v.Value)
			}
		}
		if v := origin(t, l, "git.token"); v.Value != "" {
			t.Errorf("%s: an unset secret is shown as %v", name, v.Value)
		}
	}
}

func TestMistakesAreNamed(t *testing.T) {
	file := func(content string) Sources { return Sources{File: write(t, "c.toml", content)} }
	env := func(vars ...string) Sources { return Sources{Env: vars} }
	for _, c := range []struct {
		s    Sources
		want []string
	}{
		{file(`bakend = "x"`), []string{"c.toml", `"bakend"`, `"backend"`}},
		{file("[lease]\nttI = \"3s\""), []string{`"lease.ttI"`, `"lease.ttl"`}},
		{file(`ttl = "3s"`), []string{`"lease.ttl"`}},
		{file(`something_else = 1`), []string{"`sandtree config`"}},
		{file("[backends.local]\nprogramm = 1"), []string{`"backends.local.program"`}},
		{file("[backends.lokal]\nprogram = 1"), []string{`"backends.local.program"`}},
		{file(`limits = 3`), []string{`"limits"`}},
		{file(`backend = 3`), []string{"backend", "text"}},
		{file(`queue = "many"`), []string{"queue", "whole number"}},
		{file(`queue = 1.5`), []string{"whole number"}},
		{file(`queue = 0`), []string{"queue", "at least 1"}},
		{file("[lease]\nttl = 3"), []string{"lease.ttl", "duration"}},
		{file("[lease]\nttl = \"1ms\""), []string{"lease.ttl", "100ms"}},
		{file("[limits]\nmemory = \"lots\""), []string{"limits.memory", "2 GB"}},
		{file("[limits]\naffinity = \"0-x\""), []string{"limits.affinity", "0-x"}},
		{file("[limits]\nports = \"0\""), []string{"limits.ports", "1 to 65535"}},
		{file("[egress]\nmode = \"allow\""), []string{"egress.mode", "allow-all"}},
		{file("[egress]\nmode = \"allow-list\"\ndomains = [\"https://example.com/\"]"), []string{"egress.domains", "without scheme"}},
		{file("[admission]\novercommit = 0"), []string{"admission.overcommit", "more than 0"}},
		{file("[egress]\ndomains = [3]"), []string{"egress.domains", "list of texts"}},
		{env("SANDTREE_EGRESS_CIDRS=192.0.2.0/24,x"), []string{"SANDTREE_EGRESS_CIDRS", "egress.cidrs"}},
		{file("[restart]\ncap = \"1ms\""), []string{"restart.cap", "restart.base"}},
		{file("[restart]\nwindow = 0"), []string{"restart.window"}},
		{file("[journal]\nsync = \"sometimes\""), []string{"journal.sync", "process or full"}},
		{file("[env]\n\"A B\" = \"x\""), []string{"env.A B"}},
		{file("backend = "), []string{"c.toml"}},
		{file(strings.Repeat("#", maxFile+1)), []string{"at most"}},
		{Sources{File: "/nonexistent/c.toml"}, []string{"/nonexistent/c.toml"}},
		{Sources{File: "/nonexistent/c.ini"}, []string{".toml"}},
		{env("SANDTREE_CONFIG=/nonexistent/c.yaml"), []string{"/nonexistent/c.yaml"}},
		{env("SANDTREE_LEASE_TTLL=3s"), []string{"SANDTREE_LEASE_TTLL", "SANDTREE_LEASE_TTL?"}},
		{env("SANDTREE_NONSENSE=3s"), []string{"SANDTREE_NONSENSE"}},
		{env("SANDTREE_QUEUE=x"), []string{"SANDTREE_QUEUE", "queue"}},
		{env(), []string{"state_dir", "HOME"}},
		{Sources{Flag: []Setting{{"quewe", "1", "--set"}}}, []string{"--set", `"queue"`}},
	} {
		c.s.Drivers = drivers
		if len(c.s.Env) > 0 || c.s.File != "" || len(c.s.Flag) > 0 {
			c.s.Env = append(c.s.Env, "HOME=/h")
		}
		_, err := Load(c.s)
		if sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("%+v: code %q, %v", c.s, sandbox.CodeOf(err), err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("want %q in: %v", w, err)
			}
		}
	}
}

func TestAllMistakesAreNamedAtOnceAndNoSecret(t *testing.T) {
	_, err := Load(Sources{
		File: write(t, "c.toml", "bakend = 1\n[backends.local]\nkey = [\"hunter2\"]\n[env]\nA = {b = \"hunter2\"}"),
		Env:  []string{"HOME=/h", "SANDTREE_QUEUE=x"}, Drivers: drivers,
	})
	for _, want := range []string{"bakend", "backends.local.key", "env.A", "SANDTREE_QUEUE"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a secret is in: %v", err)
	}
}

func TestTheFileIsFound(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sandtree"), 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sandtree", "config.yml")
	if err := os.WriteFile(path, []byte("queue: 3"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"HOME=/h", "XDG_CONFIG_HOME=" + dir}
	l, err := Load(Sources{Env: env})
	if err != nil || l.Queue != 3 || l.File != path {
		t.Errorf("%v, %v", l, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sandtree", "config.toml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = Load(Sources{Env: env}); err == nil || !strings.Contains(err.Error(), "both") {
		t.Errorf("two files: %v", err)
	}
	other := write(t, "other.toml", "queue = 4")
	if l, err = Load(Sources{Env: append(env, "SANDTREE_CONFIG="+other)}); err != nil || l.Queue != 4 {
		t.Errorf("%v, %v", l, err)
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte("backend = \"a\"\n[env]\nA = \"b\""), ".toml")
	f.Add([]byte("backend: a\nenv: {A: b}\n1: {2: 3}"), ".yaml")
	f.Add([]byte("a: &a [*a]"), ".yaml")
	f.Add([]byte("\"a.b\" = 1\n[a]\nb = 2"), ".toml")
	f.Fuzz(func(t *testing.T, content []byte, ext string) {
		p := parsers[ext]
		if p == nil {
			p = parsers[".toml"]
		}
		values, err := parseFile(content, p)
		if err != nil {
			return
		}
		l := loading{keys: keys(drivers), values: map[string]any{}, from: map[string]string{}}
		l.addDefaults(Sources{Drivers: drivers}, map[string]string{"HOME": "/h"})
		for name, v := range values {
			_ = l.set(name, v, "file", resolver{dir: "/d", home: "/h"})
		}
		if out, err := l.finish("file"); err == nil && (out.Queue < 1 || out.Lease.TTL <= 0) {
			t.Errorf("accepted: %+v", out.Config)
		}
	})
}
