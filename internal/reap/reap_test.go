package reap

import (
	"bufio"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
)

// start runs a shell script that prints the pids of what it has started, one line each, and then "ready".
func start(t *testing.T, mark, script string, setsid bool) (*exec.Cmd, []int) {
	t.Helper()
	cmd := exec.Command("sh", "-c", script+"\necho ready\nsleep 1000")
	cmd.Env = append(os.Environ(), "REAP_TEST="+mark)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: setsid}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pids := []int{cmd.Process.Pid}
	var procs []Proc // whose numbers others may have by the end
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "ready"; {
		pid, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("the script said %q", lines.Text())
		}
		pids = append(pids, pid)
		if p, err := Stat(pid); err == nil {
			procs = append(procs, p)
		}
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		for _, p := range procs {
			Signal(p, syscall.SIGKILL)
		}
		_ = cmd.Wait()
	})
	return cmd, pids
}

func alive(pid int) bool {
	p, err := Stat(pid)
	return err == nil && !p.dead
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // to look through /proc takes a busy machine a second
	t.Cleanup(cancel)
	return ctx
}

const family = "sleep 1000 & echo $!\nsetsid sleep 1000 >/dev/null & echo $!\nsh -c 'sleep 1000 & sleep 1000' >/dev/null & echo $!"

func TestKillByMark(t *testing.T) {
	leak.Check(t)
	_, pids := start(t, "one", family, true)
	_, others := start(t, "other", family, true)
	n, err := Kill(bounded(t), Marked("REAP_TEST", "one"))
	if err != nil || n < len(pids) {
		t.Errorf("killed %d, %v; want at least %d", n, err, len(pids))
	}
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("%d is alive", pid)
		}
	}
	for _, pid := range others {
		if !alive(pid) {
			t.Errorf("%d of another mark was killed", pid)
		}
	}
}

func TestKillBySession(t *testing.T) {
	_, pids := start(t, "session", "env -i sleep 1000 & echo $!", true)
	leader, err := Stat(pids[0])
	if err != nil {
		t.Fatal(err)
	}
	later := leader
	later.Start++ // as if another process had taken the number
	if n, err := Kill(bounded(t), InSessions([]Proc{later})); n != 0 || err != nil || !alive(pids[1]) {
		t.Fatalf("a session that took an old number: killed %d, %v", n, err)
	}
	if n, err := Kill(bounded(t), InSessions([]Proc{leader})); n < 2 || err != nil {
		t.Errorf("killed %d, %v; want at least 2", n, err)
	}
	if alive(pids[0]) || alive(pids[1]) {
		t.Error("alive")
	}
}

func TestKillDescendants(t *testing.T) {
	cmd, pids := start(t, "tree", family, false)
	if n, err := Kill(bounded(t), Descendants(pids[0])); n < 4 || err != nil {
		t.Errorf("killed %d, %v; want at least 4", n, err)
	}
	for _, pid := range pids[1:] {
		if alive(pid) {
			t.Errorf("%d is alive", pid)
		}
	}
	_ = cmd.Wait() // it ends since its last command was killed
	if cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
		t.Error("the ancestor was killed")
	}
}

// A tree that forks as fast as it can is stopped before it is killed, so that it cannot run away from the killer.
func TestKillWhatForks(t *testing.T) {
	start(t, "forks", "f() { while :; do sleep 0.01 & done; }\nf >/dev/null 2>&1 & echo $!\nf >/dev/null 2>&1 & echo $!", true)
	find := Marked("REAP_TEST", "forks")
	if _, err := Kill(bounded(t), find); err != nil {
		t.Fatal(err)
	}
	if left, err := find(); len(left) > 0 || err != nil {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestKillEndsWithItsContext(t *testing.T) {
	leak.Check(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, pids := start(t, "ctx", "", true)
	if _, err := Kill(ctx, Marked("REAP_TEST", "ctx")); err == nil || !alive(pids[0]) {
		t.Errorf("killed in spite of its context: %v", err)
	}
}

func TestKillCgroup(t *testing.T) {
	dir := need.Cgroup(t)
	if _, err := os.Stat(filepath.Join(dir, "pids.max")); err == nil {
		if err := os.WriteFile(filepath.Join(dir, "pids.max"), []byte("50"), 0); err != nil {
			t.Fatal(err)
		}
	}
	need.Tool(t, "bash") // which tries again when it cannot fork, so that its bomb lasts
	cmd := exec.Command("sh", "-c", "echo $$ >"+dir+"/cgroup.procs; exec env -i bash -c ':() { :|:& }; :; sleep 1000' 2>/dev/null")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	for ctx := bounded(t); ctx.Err() == nil; time.Sleep(time.Millisecond) { // nothing tells when a bomb has gone off
		if p, _ := InCgroup(dir)(); len(p) > 20 {
			break
		}
	}
	if _, err := KillCgroup(bounded(t), dir); err != nil {
		t.Fatal(err)
	}
	if left, err := InCgroup(dir)(); len(left) > 0 || err != nil {
		t.Errorf("left %v, %v", left, err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "pids.max")); err == nil && strings.TrimSpace(string(b)) != "50" {
		t.Errorf("pids.max is %q afterwards, want 50", b)
	}
	if n, err := KillCgroup(t.Context(), filepath.Join(dir, "none")); n != 0 || err != nil {
		t.Errorf("a group that does not exist: %d, %v", n, err)
	}
}

func stat(t *testing.T, pid int) Proc {
	t.Helper()
	p, err := Stat(pid)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRecordOutlivesItsWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	r, leaders, existed, err := OpenRecord(path)
	if err != nil || existed || len(leaders) > 0 {
		t.Fatalf("a new record: existed %t, %v, %v", existed, leaders, err)
	}
	if err := r.Add(stat(t, os.Getpid())); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	me, err := Stat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, "another-boot 1 1;\ngarbage\n"...)
	if err := os.WriteFile(path, append(b, b[:len(boot())+4]...), 0o600); err != nil { // the last line is torn
		t.Fatal(err)
	}
	r, leaders, existed, err = OpenRecord(path)
	if err != nil || !existed || len(leaders) != 1 || leaders[0].name() != me.name() {
		t.Errorf("existed %t, %v, %v; want this process", existed, leaders, err)
	}
	if err := r.Forget(); err != nil {
		t.Error(err)
	}
	if err := r.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is still there")
	}
}

func TestRecordForgetsWhatHasEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	r, _, _, err := OpenRecord(path)
	if err != nil {
		t.Fatal(err)
	}
	lasting, pids := start(t, "record", "", true)
	for i := range 3 * fewLeaders {
		cmd := lasting
		if i > 0 {
			cmd = exec.Command("sleep", "1000")
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Add(stat(t, cmd.Process.Pid)); err != nil {
			t.Error(err)
		}
		if i > 0 {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	r, leaders, _, err := OpenRecord(path)
	if err != nil || len(leaders) > fewLeaders || leaders[0].PID != pids[0] {
		t.Errorf("%d leaders, %v; want at most %d, the first of which has not ended", len(leaders), err, fewLeaders)
	}
	if err := r.Remove(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); len(left) > 0 || err != nil {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestParseStat(t *testing.T) {
	const rest = " 1 1 7 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 %d 0 4711 1 1"
	for _, c := range []struct {
		state, threads string
		dead           bool
	}{{"S", "1", false}, {"Z", "1", true}, {"Z", "0", true}, {"Z", "3", false}, {"X", "1", true}} {
		line := "12 (a) b) " + c.state + strings.Replace(rest, "%d", c.threads, 1)
		p, err := parseStat(12, []byte(line))
		if err != nil || p != (Proc{PID: 12, PPID: 1, SID: 7, Start: 4711, dead: c.dead}) {
			t.Errorf("%s: %+v, %v", line, p, err)
		}
	}
	if _, err := parseStat(1, []byte("1 (x) S 1")); err == nil {
		t.Error("a short line must be an error")
	}
}

// The orphan of a child that ends falls to this process and is reaped, and a child of our own is left to its waiter
// even when that comes late.
func TestAdoptReapsOrphansOnly(t *testing.T) {
	leak.Check(t)
	a, err := Adopt(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Skip(err)
	}
	defer a.Close()
	cmd := exec.Command("sh", "-c", "sh -c 'echo $$; exec sleep 0.2' & wait $!; sh -c 'echo $$; exec sleep 0.2' & exit 3")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	a.Own(stat(t, cmd.Process.Pid))
	lines := bufio.NewScanner(out)
	lines.Scan()
	lines.Scan()
	orphan, err := strconv.Atoi(lines.Text())
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) { // nothing tells of a reaped stranger
		if _, err := Stat(orphan); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the orphan was not reaped")
		}
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("the child's own waiter got %v, want status 3", err)
	}
	a.Close()
}

func TestChildrenBothWays(t *testing.T) {
	_, pids := start(t, "children", "", false)
	for name, f := range map[string]func() ([]Proc, error){"by thread": children, "by parent": childrenByParent} {
		procs, err := f()
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, p := range procs {
			found = found || p.PID == pids[0]
		}
		if !found {
			t.Errorf("%s: %v does not have %d", name, procs, pids[0])
		}
	}
}

// What seems to be older than its parent descends from somebody else, who had the number before.
func TestBelow(t *testing.T) {
	root := Proc{PID: 10, PPID: 1, Start: 50}
	all := []Proc{root, {PID: 30, PPID: 20, Start: 70}, {PID: 20, PPID: 10, Start: 60}, {PID: 21, PPID: 10, Start: 50},
		{PID: 31, PPID: 20, Start: 59}, {PID: 40, PPID: 31, Start: 80}, {PID: 11, PPID: 1, Start: 90}}
	var got []int
	for _, p := range below(root, all) {
		got = append(got, p.PID)
	}
	slices.Sort(got)
	if want := []int{20, 21, 30}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Once a process has ended nobody descends from it, and no signal meant for it reaches who has its number.
func TestNumbersTaken(t *testing.T) {
	_, pids := start(t, "taken", "sleep 1000 & echo $!", true)
	find, p := Descendants(pids[0]), stat(t, pids[0])
	if procs, err := find(); len(procs) == 0 || err != nil {
		t.Errorf("descendants %v, %v", procs, err)
	}
	p.Start-- // as if it had taken the number of another
	Signal(p, syscall.SIGKILL)
	if !alive(pids[0]) {
		t.Error("a signal has reached another")
	}
	if n, err := Kill(bounded(t), Marked("REAP_TEST", "taken")); n < 2 || err != nil {
		t.Errorf("killed %d, %v", n, err)
	}
	if procs, err := find(); len(procs) != 0 || err != nil {
		t.Errorf("it has ended, and has descendants %v, %v", procs, err)
	}
	if procs, err := Descendants(1 << 22)(); len(procs) != 0 || err != nil { // no kernel has so high a number
		t.Errorf("nobody has descendants %v, %v", procs, err)
	}
}
