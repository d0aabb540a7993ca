package jail_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// ticks gives the numbers of the ticks that are told in records.
func ticks(records []sandbox.AuditRecord) (numbers []int) {
	for _, r := range records {
		if len(r.Argv) == 2 {
			if s, ok := strings.CutPrefix(r.Argv[1], "tick-"); ok {
				n, _ := strconv.Atoi(s)
				numbers = append(numbers, n)
			}
		}
	}
	return numbers
}

// TestAuditKilledController kills the controller of a sandbox whose programs start others: they go on, and the next one is told
// of all that the first was not, and of some that it had not acknowledged.
func TestAuditKilledController(t *testing.T) {
	need.Jail(t)
	need.Tool(t, "go")
	dir := t.TempDir()
	program := filepath.Join(t.TempDir(), "auditor")
	if out, err := exec.Command("go", "build", "-o", program, "./testdata/auditor").CombinedOutput(); err != nil {
		t.Fatalf("build it: %v\n%s", err, out)
	}
	cmd := exec.Command(program, dir, sandboxdtest.Binary(t))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	told := bufio.NewScanner(out)
	last := 0
	for last < 3 && told.Scan() {
		last, _ = strconv.Atoi(strings.TrimPrefix(told.Text(), "tick-"))
	}
	cmd.Process.Kill()
	for told.Scan() { // what it has said in time
		last, _ = strconv.Atoi(strings.TrimPrefix(told.Text(), "tick-"))
	}
	cmd.Wait()
	if last < 3 {
		t.Fatalf("the first controller was told of %d programs", last)
	}
	// Nobody listens, and the sandbox goes on.
	file := filepath.Join(dir, "jail/crash/workspace/ticks")
	late := time.Now().Add(2 * time.Minute)
	for {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(b), "\n") > last+5 {
			break
		}
		if time.Now().After(late) {
			t.Fatal("without a controller the programs of a sandbox start no others")
		}
		time.Sleep(20 * time.Millisecond)
	}
	h := newHeard()
	b := audited(t, dir, h)
	ends(t, b, "crash")
	s, err := b.Attach(t.Context(), "crash", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	run(t, s, "/bin/echo taken over")
	all := h.until(t, "a program started now", func(all []sandbox.AuditRecord) bool { return len(of(all, executed("over"))) > 0 })
	numbers := ticks(all)
	if len(numbers) < 5 || numbers[0] > last+1 {
		t.Fatalf("the first was told up to %d, the next %v", last, numbers)
	}
	for i, n := range numbers {
		if n != numbers[0]+i {
			t.Fatalf("the next is told of %v", numbers)
		}
	}
}

// keepers are the processes that watch a sandbox of this process.
func keepers(t testing.TB) (pids []int) {
	t.Helper()
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range all {
		b, err := os.ReadFile(f)
		_, rest, ok := strings.Cut(string(b), ") ")
		fields := strings.Fields(rest)
		if err != nil || !ok || len(fields) < 2 || fields[1] != strconv.Itoa(os.Getpid()) || fields[0] == "Z" {
			continue
		}
		pid := filepath.Base(filepath.Dir(f))
		line, err := os.ReadFile("/proc/" + pid + "/cmdline")
		if err == nil && strings.HasSuffix(string(line), "\x00audit\x00") {
			n, _ := strconv.Atoi(pid)
			pids = append(pids, n)
		}
	}
	return pids
}

// TestAuditKilledKeeper kills who watches, while programs are started: none of them is hurt, and the next one watches on.
func TestAuditKilledKeeper(t *testing.T) {
	h := newHeard()
	b := audited(t, t.TempDir(), h)
	ends(t, b, "x")
	s := began(t, b, sandbox.Spec{ID: "x", Audit: sandbox.Audit{Exec: true, Rate: sandbox.MaxAuditRate}})
	run(t, s, "(for i in $(seq 200); do /bin/echo tick-$i >>ticks; done; echo end >>ticks) & /bin/true")
	for n := range 3 {
		before := len(h.all())
		h.until(t, "programs", func(all []sandbox.AuditRecord) bool { return len(all) > before+5 || len(ticks(all)) >= 190 })
		for _, pid := range keepers(t) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		h.until(t, "the gap", func(all []sandbox.AuditRecord) bool {
			return len(of(all, func(r sandbox.AuditRecord) bool { return r.Kind == sandbox.AuditGap })) > n
		})
	}
	run(t, s, "while ! grep -q end ticks; do sleep 0.1; done; /bin/echo all of them")
	h.until(t, "the last program", func(all []sandbox.AuditRecord) bool { return len(of(all, executed("them"))) > 0 })
	if got := run(t, s, "grep -c tick ticks"); got != "200" {
		t.Errorf("of 200 programs %s have run", got)
	}
}

// TestAuditLeavesNothing ends sandboxes in three ways, and looks whether anybody watches them still.
func TestAuditLeavesNothing(t *testing.T) {
	h := newHeard()
	b := audited(t, t.TempDir(), h)
	defer b.Close()
	spec := sandbox.Spec{ID: "x", Audit: sandbox.Audit{Exec: true}}
	for _, end := range []func(*backends.Sandbox) error{
		func(s *backends.Sandbox) error { return s.Stop(context.Background(), 0) },
		func(s *backends.Sandbox) error { return s.Stop(context.Background(), time.Second) },
		func(s *backends.Sandbox) error {
			return b.Remove(context.Background(), "x", backends.AnyEpoch, 0)
		},
	} {
		s := began(t, b, spec)
		run(t, s, "/bin/true")
		if len(keepers(t)) != 1 {
			t.Errorf("the sandbox is watched by %v", keepers(t))
		}
		if err := end(s); err != nil {
			t.Fatal(err)
		}
		for late := time.Now().Add(time.Minute); len(keepers(t)) > 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(late) {
				t.Fatalf("of a sandbox that has ended there is left %v", keepers(t))
			}
		}
	}
}

// TestAuditNobodyListens kills who watches where nobody wants to hear: there is another one nevertheless, and programs go on.
func TestAuditNobodyListens(t *testing.T) {
	need.Jail(t)
	dir := t.TempDir()
	open := func() *backends.Backend {
		d, err := jail.New(jail.Config{StateDir: dir, Sandboxd: sandboxdtest.Binary(t)})
		if err != nil {
			t.Fatal(err)
		}
		if names, lacks := d.Audits(); len(names) == 0 {
			t.Skip(lacks)
		}
		return backends.Open("jail", d, backends.Config{})
	}
	b := open()
	s := began(t, b, sandbox.Spec{ID: "x", Audit: sandbox.Audit{Exec: true}})
	kill := func() {
		pids := keepers(t)
		if len(pids) != 1 {
			t.Fatalf("the sandbox is watched by %v", pids)
		}
		syscall.Kill(pids[0], syscall.SIGKILL)
	}
	kill()
	if got := run(t, s, "/bin/echo on"); got != "on" {
		t.Errorf("it said %q", got)
	}
	s.Close()
	b.Close()
	// Another one that has not started it.
	b = open()
	ends(t, b, "x")
	s, err := b.Attach(t.Context(), "x", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	kill()
	if got := run(t, s, "/bin/echo and on"); got != "and on" {
		t.Errorf("it said %q", got)
	}
}

// TestAuditStopped has keepers that all fail: there are not ever more of them, it is told, and the sandbox is ended.
func TestAuditStopped(t *testing.T) {
	need.Jail(t)
	program := filepath.Join(t.TempDir(), "sandboxd")
	if out, err := exec.Command("cp", sandboxdtest.Binary(t), program).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	h := newHeard()
	d, err := jail.New(jail.Config{StateDir: t.TempDir(), Sandboxd: program, OnAudit: h.tell})
	if err != nil {
		t.Fatal(err)
	}
	if names, lacks := d.Audits(); len(names) == 0 {
		t.Skip(lacks)
	}
	b := backends.Open("jail", d, backends.Config{})
	ends(t, b, "x")
	s := began(t, b, sandbox.Spec{ID: "x", Audit: sandbox.Audit{Exec: true}})
	tries := filepath.Join(t.TempDir(), "tries")
	script := "#!/bin/sh\necho try >>" + tries + "\necho 'no descriptor is given' >&2\nexit 1\n"
	if err := os.WriteFile(program+".new", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(program+".new", program); err != nil {
		t.Fatal(err)
	}
	for _, pid := range keepers(t) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	all := h.until(t, "the end", func(all []sandbox.AuditRecord) bool {
		return len(of(all, func(r sandbox.AuditRecord) bool { return r.Kind == sandbox.AuditStopped })) > 0
	})
	if r := all[len(all)-1]; !strings.HasPrefix(r.Reason, "audit stopped: ") || !strings.Contains(r.Reason, "no descriptor is given") {
		t.Errorf("told was %+v", r)
	}
	if exit, err := s.Wait(t.Context()); err != nil || exit.Signal != int(syscall.SIGKILL) {
		t.Errorf("the sandbox ended with %+v, %v", exit, err)
	}
	if text, _ := os.ReadFile(tries); strings.Count(string(text), "try") > 10 {
		t.Errorf("there were %d keepers", strings.Count(string(text), "try"))
	}
}

// TestAuditKeeperEndsAtTheStart kills whoever watches while the shell reads its user's file: the start begins anew, and waits for nothing.
func TestAuditKeeperEndsAtTheStart(t *testing.T) {
	b := audited(t, t.TempDir(), newHeard())
	defer b.Close()
	work := t.TempDir()
	rc := ": >reached; until [ -e killed ]; do :; done; /bin/true\n"
	if err := errors.Join(os.WriteFile(filepath.Join(work, ".bashrc"), []byte(rc), 0o644), os.Chmod(work, 0o777)); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			if _, err := os.Stat(filepath.Join(work, "reached")); err == nil || t.Context().Err() != nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		for _, pid := range keepers(t) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		os.WriteFile(filepath.Join(work, "killed"), nil, 0o644)
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := b.Start(ctx, sandbox.Spec{ID: "x", Workspace: work, Env: map[string]string{"HOME": "/workspace"}, Audit: sandbox.Audit{Exec: true}})
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, s, "/bin/echo on"); got != "on" {
		t.Errorf("it said %q", got)
	}
	if err := s.Stop(t.Context(), 0); err != nil {
		t.Error(err)
	}
}
