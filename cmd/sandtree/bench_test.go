package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/bench/result"
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
		t.Errorf("there is progress where there is no terminal: %q", r.err)
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
		{[]string{"--backend", "moon"}, 2, "jail"},
		{[]string{"--target", "moon"}, 2, "openhands"},
		{[]string{"--target", "openhands"}, 2, "--url"},
		{[]string{"--url", "http://x"}, 2, "--target openhands"},
		{[]string{"--target", "exec", "--backend", "local"}, 2, "--backend"},
		{[]string{"part", "moon"}, 2, "moon"},
		{[]string{"more"}, 2, "no arguments"},
	} {
		u.run(append([]string{"bench"}, c.args...)...).wantErr(t, c.want)
		if r := u.run(append([]string{"bench"}, c.args...)...); r.code != c.code {
			t.Errorf("%q: exit code %d, want %d", c.args, r.code, c.code)
		}
	}
	u.run("bench", "--list", "--set", "full").want(t, 0, "streams-5000", "connections", "5,000 held streams")
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
