package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// real makes a box of a real sandboxd, so that the ways to ask are the same.
func real(t *testing.T, s *sandboxdtest.Box) *box {
	return &box{t: t, dir: s.Dir, client: s.Client()}
}

// family is a command that leaves processes in its own session and, as daemons, in others, one of which goes on having an
// effect. Then it makes the file begun and stays.
const family = `sleep 1000 & env -i sleep 1000 & ` +
	`(setsid sh -c 'sleep 1000 & touch d1; exec sleep 1000' &); ` +
	`(setsid sh -c 'while :; do echo x >>log; sleep 0.01; done' &); ` +
	`while ! [ -e d1 -a -e log ]; do sleep 0.01; done; touch begun; sleep 1000`

// running gives the processes that belong to a box by their mark, their sessions or their cgroup.
func running(t *testing.T, find reap.Finder) []reap.Proc {
	t.Helper()
	procs, err := find()
	if err != nil {
		t.Fatal(err)
	}
	return procs
}

func TestWhatAKilledServerLeaves(t *testing.T) {
	need.Tool(t, "bash")
	leak.Check(t)
	s := sandboxdtest.New(t)
	s.Key = key
	s.Start()
	b := real(t, s)
	b.native("before", run("echo before")).wantRun(t, 0, "before")
	mark := b.native("mark", run("echo $SANDTREE_SANDBOX")).Content
	leader, err := reap.Stat(pidOf(t, b.native("pid", run("echo $$")).Content))
	if err != nil || mark == "" {
		t.Fatalf("mark %q, %v", mark, err)
	}
	find := reap.Any(reap.Marked("SANDTREE_SANDBOX", mark), reap.InSessions([]reap.Proc{leader}))

	cut := make(chan error, 1)
	go func() {
		response, err := b.client.Do(b.request("POST", wire.PathActions+"cut", event(run(family))))
		if err == nil {
			_, err = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		cut <- err
	}()
	b.await("begun")
	s.Kill()
	if err := <-cut; err == nil {
		t.Error("the answer of a killed server was whole")
	}
	if n := len(running(t, find)); n < 3 {
		t.Fatalf("%d processes are left by the killed server: the test shows nothing", n)
	}

	begun := time.Now()
	s.Start()
	t.Logf("start with leftovers: %v", time.Since(begun))
	if left := running(t, reap.InSessions([]reap.Proc{leader})); len(left) > 0 {
		t.Errorf("in the old session: %v", left)
	}
	size := len(b.read("log"))
	seen := b.again("cut", 0)
	if seen.err != nil || !seen.Interrupted() {
		t.Errorf("%+v; want an interrupted action", seen)
	}
	again := b.native("cut", run(family)) // never runs again
	if !again.Interrupted() || again.Content != seen.Content {
		t.Errorf("%+v; want the same answer", again)
	}
	b.again("before", 0).wantRun(t, 0, "before")
	b.native("after", run("echo after")).wantRun(t, 0, "after")
	if now := len(b.read("log")); now != size {
		t.Error("the interrupted action has an effect later than its answer")
	}
	if status := s.Stop(); status != 0 {
		t.Errorf("status %d", status)
	}
	if left := running(t, find); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func pidOf(t *testing.T, s string) int {
	t.Helper()
	var pid int
	if _, err := fmt.Sscan(s, &pid); err != nil {
		t.Fatalf("%q is no pid", s)
	}
	return pid
}

// With a cgroup nothing escapes, whatever it does to its environment and session.
func TestWhatAKilledServerLeavesInItsCgroup(t *testing.T) {
	need.Tool(t, "bash")
	dir := need.Cgroup(t)
	s := sandboxdtest.New(t, "--cgroup", dir)
	s.Key = key
	s.Start()
	b := real(t, s)
	b.native("a", run("(env -i setsid sh -c 'sleep 1000 & touch begun; exec sleep 1000' &)")).wantRun(t, 0, "")
	b.await("begun")
	s.Kill()
	if n := len(running(t, reap.InCgroup(dir))); n < 2 {
		t.Fatalf("%d processes are left: the test shows nothing", n)
	}
	s.Start()
	if left := running(t, reap.InCgroup(dir)); len(left) != 1 { // the new shell
		t.Errorf("in the cgroup: %v", left)
	}
	b.native("b", run("echo alive")).wantRun(t, 0, "alive")
	if status := s.Stop(); status != 0 {
		t.Errorf("status %d", status)
	}
	if left := running(t, reap.InCgroup(dir)); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestAStopEndsEverything(t *testing.T) {
	need.Tool(t, "bash")
	leak.Check(t)
	s := sandboxdtest.New(t)
	s.Key = key
	s.Start()
	b := real(t, s)
	answer := make(chan seen, 1)
	go func() {
		answer <- b.native("a", run("(env -i setsid sh -c 'exec sleep 1000' &); "+family))
	}()
	b.await("begun")
	waiting := make(chan seen, 1)
	go func() { waiting <- b.native("waiting", run("touch ran")) }()
	for !b.received("waiting") {
	}
	below := reap.Descendants(s.PID())
	before := running(t, below)
	if len(before) < 6 {
		t.Fatalf("%d processes: the test shows nothing", len(before))
	}
	begun := time.Now()
	if status := s.Stop(); status != 0 {
		t.Errorf("status %d\n%s", status, s.Log())
	}
	t.Logf("stopped in %v", time.Since(begun))
	for _, p := range before {
		if now, err := reap.Stat(p.PID); err == nil && now.Start == p.Start {
			t.Errorf("%d is there", p.PID)
		}
	}
	if a := <-answer; a.err != nil || a.Kind() != sandbox.KindError || !a.Interrupted() {
		t.Errorf("the running action: %+v; want an error observation", a)
	}
	if a := <-waiting; a.err == nil && !a.Interrupted() {
		t.Errorf("the waiting action: %+v; want that it has not run", a)
	}
	if _, err := os.Stat(filepath.Join(b.dir, "ran")); err == nil {
		t.Error("the waiting action ran")
	}
	for _, left := range []string{s.Socket, filepath.Join(s.State, "sessions")} {
		if _, err := os.Stat(left); err == nil {
			t.Errorf("%s is left", left)
		}
	}
}

// received says whether the server has the action, without waiting for it.
func (b *box) received(id string) bool {
	b.t.Helper()
	response, err := b.client.Do(b.request("GET", wire.PathActions+id, ""))
	if err != nil {
		b.t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode != http.StatusNotFound
}

func TestAnOrphanEnds(t *testing.T) {
	need.Tool(t, "bash")
	s := sandboxdtest.New(t, "--orphan-after", "2s") // of which a busy machine may take some before a request is there
	s.Key = key
	s.Start()
	b := real(t, s)
	// A client that waits for its action counts as there, and so does the one that renews.
	b.native("a", run("sleep 2.5; sleep 1000 & echo done")).wantContent(t, "done")
	for begun := time.Now(); time.Since(begun) < 2500*time.Millisecond; {
		time.Sleep(100 * time.Millisecond)
		if status, body := b.do("POST", wire.PathLease, ""); status != http.StatusNoContent {
			t.Fatalf("%d %s", status, body)
		}
	}
	child := running(t, reap.Descendants(s.PID()))
	// Whoever has no key does not count.
	stop := make(chan struct{})
	strangers := make(chan struct{})
	go func() {
		defer close(strangers)
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				if r, err := b.client.Get("http://sandbox/alive"); err == nil {
					r.Body.Close()
				}
			}
		}
	}()
	select {
	case <-s.Ended():
	case <-time.After(time.Minute):
		t.Error("the orphan lives")
	}
	close(stop)
	<-strangers
	if status := s.Wait(); status != 0 {
		t.Errorf("status %d\n%s", status, s.Log())
	}
	for _, p := range child {
		if now, err := reap.Stat(p.PID); err == nil && now.Start == p.Start {
			t.Errorf("%d is there", p.PID)
		}
	}
}

func (s seen) wantContent(t testing.TB, suffix string) {
	t.Helper()
	if s.err != nil || !strings.HasSuffix(s.Content, suffix) {
		t.Errorf("%v: %q; want %q at its end", s.err, s.Content, suffix)
	}
}

// A client that has hung up does not keep the server, though its action runs.
func TestAnOrphanEndsInTheMiddleOfAnAction(t *testing.T) {
	need.Tool(t, "bash")
	s := sandboxdtest.New(t, "--orphan-after", "2s")
	s.Key = key
	s.Start()
	ctx, hangUp := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := s.Run(ctx, "touch begun; sleep 1000")
		ended <- err
	}()
	real(t, s).await("begun")
	time.Sleep(2500 * time.Millisecond)
	select {
	case <-s.Ended():
		t.Fatal("it ended while its client waited")
	default:
	}
	hangUp()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	select {
	case <-s.Ended():
	case <-time.After(time.Minute):
		t.Error("the orphan lives")
	}
}

// Daemons whose parents end fall to sandboxd, which reaps them when they end themselves.
func TestOrphanedProcessesAreReaped(t *testing.T) {
	need.Tool(t, "bash")
	s := sandboxdtest.New(t)
	s.Key = key
	s.Start()
	b := real(t, s)
	b.native("a", run("for i in 1 2 3 4 5; do (setsid sleep 0.1 &); done; sleep 0.2; echo ok")).wantRun(t, 0, "ok")
	for begun := time.Now(); zombies(t, s.PID()) > 0; time.Sleep(20 * time.Millisecond) { // nothing tells of a reaped stranger
		if time.Since(begun) > time.Minute {
			t.Fatal("zombies are left")
		}
	}
	b.native("b", run("echo alive")).wantRun(t, 0, "alive")
}

// zombies counts the dead children of a process that are not reaped.
func zombies(t *testing.T, parent int) (n int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		if f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:])); f[0] == "Z" && f[1] == fmt.Sprint(parent) {
			n++
		}
	}
	return n
}

func TestTwoServersCannotShareAState(t *testing.T) {
	need.Tool(t, "bash")
	s := sandboxdtest.New(t)
	s.Start()
	other := sandboxdtest.New(t)
	args := []string{"--listen", "unix:" + other.Socket, "--working-dir", other.Dir, "--state-dir", s.State}
	if out, status := sandboxd(t, nil, args...); status != 4 || !strings.Contains(out, "conflict") {
		t.Errorf("status %d: %s", status, out)
	}
	args = []string{"--listen", "unix:" + s.Socket, "--working-dir", other.Dir}
	if out, status := sandboxd(t, nil, args...); status != 4 || !strings.Contains(out, "conflict") {
		t.Errorf("status %d: %s", status, out)
	}
	if _, err := s.Run(t.Context(), "true"); err != nil {
		t.Error("the first one suffers:", err)
	}
}

// A sandboxd that was killed leaves its socket, which the next one replaces.
func TestStartToFirstObservation(t *testing.T) {
	need.Tool(t, "bash")
	s := sandboxdtest.Start(t)
	s.Kill()
	begun := time.Now()
	s.Start()
	ready := time.Since(begun)
	if _, err := s.Run(t.Context(), "true"); err != nil {
		t.Fatal(err)
	}
	t.Logf("ready after %v, first observation after %v", ready, time.Since(begun))
}
