package gvisor_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// controller builds a program that starts a sandbox and is to be killed.
func controller(t *testing.T) string {
	t.Helper()
	need.Tool(t, "go")
	path := filepath.Join(t.TempDir(), "controller")
	cmd := exec.Command("go", "build", "-o", path, "./testdata/controller")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build it: %v\n%s", err, out)
	}
	return path
}

// TestKilledController kills the controller of a sandbox that runs, and one after the other in the middle of a start. The next
// one finds what there is and can remove it, and then nothing is left: no process, mount, control group, number or file.
func TestKilledController(t *testing.T) {
	need.GVisor(t)
	program := controller(t)
	dir := t.TempDir()
	sandboxd := sandboxdtest.Binary(t)
	cmd := exec.Command(program, dir, sandboxd, need.GVisor(t))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the controller says %q: %v", line, err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	b := backends.Open("gvisor", open(t, dir), backends.Config{})
	defer b.Close()
	l, err := b.List(t.Context(), "")
	if err != nil || len(l) != 1 || l[0].ID != "crash" || l[0].Exited {
		t.Errorf("the next one finds %+v, %v", l, err)
	}
	remove(t, b, dir)

	for n := range 10 {
		cmd := exec.Command(program, dir, sandboxd, need.GVisor(t))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(20+25*n) * time.Millisecond) // wherever that is
		cmd.Process.Kill()
		cmd.Wait()
		remove(t, b, dir)
	}
}

// remove ends the sandbox and looks what is left of it.
func remove(t *testing.T, b *backends.Backend, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := b.Remove(ctx, "crash", backends.AnyEpoch, 0); err != nil {
		t.Errorf("Remove: %v", err)
	}
	another := open(t, dir) // which takes back what was claimed for nobody
	another.Close()
	left, _ := filepath.Glob(filepath.Join(dir, "gvisor", "*"))
	ids, _ := filepath.Glob(filepath.Join(dir, "gvisor/.ids/*"))
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/sandtree/crash.*")
	if left = append(append(left, ids...), groups...); len(left) > 1 || len(left) == 1 && filepath.Base(left[0]) != ".ids" {
		t.Errorf("left are %v", left)
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), dir) {
		t.Errorf("mounts are left: %v", err)
	}
	// A first process whose maker has died before it said anything sees that by itself.
	for len(marked("crash")) > 0 {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Errorf("processes are left: %v", marked("crash"))
			return
		}
	}
}

// marked gives the processes of the sandboxes with that id, of all state directories.
func marked(id sandbox.ID) []string {
	var found []string
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range all {
		b, err := os.ReadFile(f)
		if err == nil && strings.Contains("\x00"+string(b), "\x00SANDTREE_SANDBOX="+string(id)+".") {
			found = append(found, f)
		}
	}
	return found
}
