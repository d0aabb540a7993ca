package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/bench/result"
	"github.com/sandtree/sandtree/testing/need"
)

// bencher is a user whose temporary files are where nothing must be left.
func bencher(t *testing.T, set string) *user {
	u := newUser(t)
	temporary := filepath.Join(u.home, "tmp")
	if err := os.Mkdir(temporary, 0o700); err != nil {
		t.Fatal(err)
	}
	u.env = append(u.env, "TMPDIR="+temporary)
	if err := os.WriteFile(filepath.Join(u.home, "mine.toml"), []byte(set), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left, _ := filepath.Glob(filepath.Join(temporary, "*")); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	})
	return u
}

const shortSet = `
[[scenario]]
name = "short"
kind = "latency"
op = "true"
rounds = 2
samples = 5
thresholds = ["p50 < 1h"]
`

func TestBench(t *testing.T) {
	u := bencher(t, shortSet+`
[[scenario]]
name = "other"
kind = "latency"
op = "echo"
rounds = 1
samples = 1
thresholds = ["p50 < 1ns"]
`)
	r := u.run("bench", "--set", "mine.toml", "--out", "found", "--scenario", "short").want(t, 0, "short", "all 2 targets held")
	if strings.Contains(r.err, "\x1b") || strings.Contains(r.err, "█") {
		t.Errorf("there is a bar where there is no terminal: %q", r.err)
	}
	if !strings.Contains(r.err, " 1/1  short ") {
		t.Errorf("what has ended is not told: %q", r.err)
	}
	for _, name := range []string{"report.json", "report.html", "report.md"} {
		if info, err := os.Stat(filepath.Join(u.home, "found", name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	missed := u.run("bench", "--set", "mine.toml", "--json", "--set", "queue=7")
	var report result.Report
	if err := json.Unmarshal([]byte(missed.out), &report); err != nil || missed.code != 1 {
		t.Fatalf("exit code %d, %v: %s", missed.code, err, missed.err)
	}
	if len(report.Scenarios) != 2 || report.Name != "mine" || report.Program.Go == "" || report.Scenarios[0].Series[0].Summary.Count != 10 {
		t.Errorf("%+v", report)
	}
}

func TestBenchOfAnotherSystem(t *testing.T) {
	u := bencher(t, shortSet)
	u.run("bench", "--set", "mine.toml", "--target", "exec").want(t, 0, "short")
	u.run("bench", "--set", "mine.toml", "--target", "command", "--command", "bash -c {command}").want(t, 0, "short")
}

// The disk is full when minutes have been spent: what was found is shown all the same, and what was there stays.
func TestBenchOnAFullDisk(t *testing.T) {
	need.Root(t)
	u := bencher(t, shortSet)
	out := filepath.Join(u.home, "found")
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", out, "tmpfs", 0, "size=4096"); err != nil {
		t.Skipf("no file system can be mounted: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(out, unix.MNT_DETACH) })
	r := u.run("bench", "--set", "mine.toml", "--target", "exec", "--scenario", "short", "--out", "found").want(t, 6, "short", "targets held")
	r.wantErr(t, "no space left")
	if left, _ := os.ReadDir(out); len(left) > 1 || len(left) == 1 && left[0].Name() != "report.json" { // which is short
		t.Errorf("left: %v", left)
	}
}

func TestBenchRefuses(t *testing.T) {
	u := bencher(t, shortSet+"sampels = 3\n")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--set", "mine.toml"}, 2, "line 9"},
		{[]string{"--set", "swift"}, 3, "quick"},
		{[]string{"--set", "quick", "--set", "full"}, 2, "one set"},
		{[]string{"--scenario", "dance"}, 3, "--list"},
		{[]string{"--rounds", "-1"}, 2, "from 1 on"},
		{[]string{"--backend", "moon"}, 2, "jail"},
		{[]string{"--target", "moon"}, 2, "openhands"},
		{[]string{"--target", "openhands"}, 2, "--url"},
		{[]string{"--url", "http://x"}, 2, "--target openhands"},
		{[]string{"--target", "exec", "--backend", "local"}, 2, "--backend"},
		{[]string{"part", "moon"}, 2, "moon"},
		{[]string{"more"}, 2, "no arguments"},
		{[]string{"--runtimes", "0"}, 2, "at least 1"},
		{[]string{"--runtimes", "-3", "--list"}, 2, "at least 1"},
		{[]string{"--runtimes", "many"}, 2, "--runtimes: want a whole number"},
		{[]string{"--list", "--scenario", "dance"}, 3, "--list"},
		{[]string{"--set", ""}, 2, "key=value"},
		{[]string{"--target", "exec", "--set", "moon=1", "--list"}, 2, "moon"},
		{[]string{"--target", "command", "--command", "false {command}"}, 7, "exit code 1"},
		{[]string{"--out", "mine.toml/x"}, 2, "--out"},
	} {
		u.run(append([]string{"bench"}, c.args...)...).wantErr(t, c.want)
		if r := u.run(append([]string{"bench"}, c.args...)...); r.code != c.code {
			t.Errorf("%q: exit code %d, want %d", c.args, r.code, c.code)
		}
	}
	u.run("bench", "--list", "--set", "full").want(t, 0, "streams-5000", "connections", "5,000 held streams")
	if r := u.run("bench", "--list", "--set", "full", "--scenario", "true").want(t, 0, "true"); strings.Contains(r.out, "echo") {
		t.Errorf("listed besides: %s", r.out)
	}
}

func TestBenchCompletes(t *testing.T) {
	u := bencher(t, shortSet)
	for _, c := range []struct{ flags, want string }{
		{"--backend", "jail"}, {"--target", "openhands"}, {"--set", "soak"}, {"--scenario", "start-cold"}, {"--set mine.toml --scenario", "short"},
	} {
		args := append([]string{"__complete", "bench"}, strings.Fields(c.flags)...)
		u.run(append(args, "")...).want(t, 0, c.want+"\n")
	}
}

func TestBenchIsInterrupted(t *testing.T) {
	u := bencher(t, shortSet+`
[[scenario]]
name = "endless"
kind = "latency"
op = "true"
rounds = 1000
samples = 10000
limit = "10m"
`)
	cmd := u.command("bench", "--set", "mine.toml", "--out", "found")
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) { // until it is at work: its sandbox has a server
		if all, _ := filepath.Glob(filepath.Join(u.home, "tmp", "st-bench-*", "local", "*", "pid.json")); len(all) > 0 {
			break
		}
		if time.Since(begun) > patience {
			t.Fatal("it does not begin")
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	if _, err := os.Stat(filepath.Join(u.home, "found", "report.json")); err != nil {
		t.Error(err)
	}
}
