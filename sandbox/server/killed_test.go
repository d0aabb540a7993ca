package server_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// Whatever runs outside of the main shell is ended by the next server too, in its own session or in another.
func TestAKillReachesEverything(t *testing.T) {
	need.Tool(t, "bash", "setsid")
	t.Run("sessions", func(t *testing.T) { killReaches(t, "setsid") })
	t.Run("cgroup", func(t *testing.T) { killReaches(t, "env -i setsid", "--cgroup", need.Cgroup(t)) })
	t.Run("user", func(t *testing.T) {
		need.Root(t)
		killReaches(t, "setsid", "--username", "nobody")
	})
	t.Run("user in a cgroup", func(t *testing.T) {
		need.Root(t)
		killReaches(t, "env -i setsid", "--username", "nobody", "--cgroup", need.Cgroup(t))
	})
}

// killReaches kills a sandboxd that has a process, two named sessions and a terminal, each with a daemon that detach has
// taken out of its session.
func killReaches(t *testing.T, detach string, args ...string) {
	leak.Check(t)
	s := sandboxdtest.New(t, args...)
	s.Key = key
	if err := os.Chmod(s.Root, 0o755); err != nil { // for the user
		t.Fatal(err)
	}
	s.Start()
	b := real(t, s)
	b.socket = s.Socket
	if want := "nobody"; strings.Contains(strings.Join(args, " "), want) {
		b.native("who", run("id -un")).wantRun(t, 0, want)
	}
	born := b.families(detach)
	s.Kill()
	for name, p := range born {
		if !lives(p) && strings.HasPrefix(name, "daemon-") { // a shell's terminal hangs up, and it ends by itself
			t.Errorf("%s did not outlive the server: the test shows nothing", name)
		}
	}

	s.Start()
	for name, p := range born {
		if lives(p) {
			t.Errorf("%s is left", name)
		}
	}
	var all []wire.Process
	if b.fetch("GET", wire.PathProcesses, "", &all); len(all) != 0 {
		t.Errorf("processes that are gone: %+v", all)
	}
	status, got := b.do("GET", wire.PathProcesses+"/process", "")
	if status != 409 || !strings.Contains(got, "take another id") {
		t.Errorf("the process that was interrupted: %d %s", status, got)
	}
	if status, got := b.do("GET", wire.PathSessions+"/pipe", ""); status != 404 {
		t.Errorf("the session that was interrupted: %d %s", status, got)
	}
	b.in("pipe", "again", "echo on").wantRun(t, 0, "on")
	if status := s.Stop(); status != 0 {
		t.Errorf("status %d", status)
	}
}

// families starts what can run besides the main shell, and gives for each its first process and its daemon.
func (b *box) families(detach string) map[string]reap.Proc {
	b.t.Helper()
	script := func(name string) string {
		return fmt.Sprintf("(%s sh -c 'echo $$ >d && mv d daemon-%[2]s && exec sleep 1000' &); echo $$ >p; mv p of-%[2]s; sleep 1000", detach, name)
	}
	b.fetch("PUT", wire.PathProcesses+"/process", fmt.Sprintf(`{"command":%q}`, script("process")), new(wire.Process))
	b.awaitFamily("process")
	for _, kind := range []string{"pty", "pipe"} {
		b.fetch("PUT", wire.PathSessions+"/"+kind, `{"kind":"`+kind+`"}`, new(wire.Session))
		go func() {
			r, err := b.client.Do(b.request("POST", wire.PathActions+kind, strings.Replace(event(run(script(kind))), `{`, `{"session":"`+kind+`",`, 1)))
			if err == nil {
				r.Body.Close()
			}
		}()
		b.awaitFamily(kind)
	}
	y := b.terminal("")
	y.typeIn(script("terminal") + "\r")
	b.awaitFamily("terminal")
	born := map[string]reap.Proc{}
	for _, name := range []string{"process", "pty", "pipe", "terminal"} {
		for _, who := range []string{"of-", "daemon-"} {
			p, err := reap.Stat(pidOf(b.t.(*testing.T), b.read(who+name)))
			if err != nil {
				b.t.Fatal(err)
			}
			born[who+name] = p
		}
	}
	return born
}

func (b *box) awaitFamily(name string) {
	b.t.Helper()
	b.await("of-" + name)
	b.await("daemon-" + name)
}

// lives says whether p is a process that has not ended; one that nobody has reaped yet has.
func lives(p reap.Proc) bool {
	now, err := reap.Stat(p.PID)
	if err != nil || now.Start != p.Start {
		return false
	}
	_, err = os.Readlink(filepath.Join("/proc", fmt.Sprint(p.PID), "exe"))
	return err == nil
}
