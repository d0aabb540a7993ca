package server_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// full says whether tests of many commands are to run in their long form.
func full() bool { return os.Getenv("SOAK") == "full" }

// Many short commands, one after the other and in many sessions at once: each gives its own output and exit code, no
// other. SOAK=full has 10,000 of each.
func TestManyCommandsAreExact(t *testing.T) {
	b := start(t, nil)
	n := 300
	if full() {
		n = 10_000
	}
	for i := range n {
		b.native(fmt.Sprintf("a%d", i), run(fmt.Sprintf("echo %d; (exit %d)", i, i%256))).wantRun(t, i%256, strconv.Itoa(i))
	}
	const sessions = 32
	var wg sync.WaitGroup
	for s := range sessions {
		name := fmt.Sprintf("s%d", s)
		if s%2 == 0 {
			b.fetch("PUT", wire.PathSessions+"/"+name, `{"kind":"pipe"}`, new(wire.Session))
		}
		wg.Go(func() {
			for i := range n / sessions {
				b.in(name, fmt.Sprintf("b%d-%d", s, i), fmt.Sprintf("echo %d-%d; (exit %d)", s, i, i%256)).wantRun(t, i%256, fmt.Sprintf("%d-%d", s, i))
			}
		})
	}
	wg.Wait()
}

// Commands leave neither memory nor descriptors nor processes. SOAK=full looks after 1,000 and 100,000 of them.
func TestCommandsLeaveNothing(t *testing.T) {
	need.Tool(t, "bash")
	box := sandboxdtest.Start(t)
	first, all := 200, 600
	if full() {
		first, all = 1000, 100_000
	}
	fresh := usage(t, box.PID())
	c := call(t, box.Dial)
	c.ask("PUT", wire.PathSessions+"/p", `{"kind":"pipe"}`)
	pty, pipe := inSession("", "echo hello"), inSession("p", "echo hello")
	use := func(n int) {
		for i := range n {
			switch i % 10 {
			case 0:
				c.exec(`{"argv":["true"]}`)
			case 1, 2, 3:
				c.action(pipe)
			default:
				c.action(pty)
			}
		}
	}
	idle := func() used {
		if full() { // in which time free memory is given back
			time.Sleep(15 * time.Second)
		}
		return usage(t, box.PID())
	}
	use(first)
	before := idle()
	use(all - first)
	after := idle()
	t.Logf("after the start: %+v; after %d: %+v; after %d: %+v", fresh, first, before, all, after)
	for _, u := range []used{fresh, before, after} {
		if u.kB > idleMemory {
			t.Errorf("%+v: want at most %d kB", u, idleMemory)
		}
	}
	if after.files > before.files+8 || after.children > before.children || full() && after.own > before.own+noise {
		t.Errorf("%+v after %d commands, %+v after %d", before, first, after, all)
	}
}

const (
	// idleMemory is the most that a sandboxd may hold while it has nothing to do, in kB, of which more than half is the
	// program's own file, which all on a machine share.
	idleMemory = 19_500
	// noise is by how much two looks may differ, in kB. After 1,000 commands each of the answers that are kept stands where
	// it came; after 3,000 there are the gaps between them that stay, half a megabyte. Pages of the program's file are left
	// out, which are read when they are first needed.
	noise = 1024
)

// A used is what a process has: memory, that which is no file's, descriptors, children.
type used struct{ kB, own, files, children int }

func usage(t *testing.T, pid int) (u used) {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, resident, shared int
	if _, err := fmt.Sscan(string(statm), &size, &resident, &shared); err != nil {
		t.Fatal(err)
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		u.children += len(strings.Fields(string(b)))
	}
	page := os.Getpagesize()
	u.kB, u.own, u.files = resident*page>>10, (resident-shared)*page>>10, len(files)
	return u
}
