package jail_test

import (
	"bufio"
	"context"
	"encoding/json"
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
	program := controller(t)
	dir := t.TempDir()
	sandboxd := sandboxdtest.Binary(t)
	cmd := exec.Command(program, dir, sandboxd)
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
	b := backends.Open("jail", open(t, dir), backends.Config{})
	defer b.Close()
	l, err := b.List(t.Context(), "")
	if err != nil || len(l) != 1 || l[0].ID != "crash" || l[0].Exited {
		t.Errorf("the next one finds %+v, %v", l, err)
	}
	remove(t, b, dir)

	for n := range 12 {
		cmd := exec.Command(program, dir, sandboxd)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(20+8*n) * time.Millisecond) // wherever that is
		cmd.Process.Kill()
		cmd.Wait()
		remove(t, b, dir)
	}
}

// remove ends the sandbox and looks what is left of it.
func remove(t *testing.T, b *backends.Backend, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	marks := marks(dir)
	if err := b.Remove(ctx, "crash", backends.AnyEpoch, 0); err != nil {
		t.Errorf("Remove: %v", err)
	}
	another := open(t, dir) // which takes back what was claimed for nobody
	another.(interface{ Close() error }).Close()
	left, _ := filepath.Glob(filepath.Join(dir, "jail", "*"))
	ids, _ := filepath.Glob(filepath.Join(dir, "jail/.ids/*"))
	blanks, _ := filepath.Glob(filepath.Join(dir, "jail", ".blank-*"))
	left = append(left, blanks...)
	for _, mark := range marks {
		groups, _ := filepath.Glob("/sys/fs/cgroup/*/sandtree/" + mark)
		left = append(left, groups...)
	}
	if left = append(left, ids...); len(left) > 1 || len(left) == 1 && filepath.Base(left[0]) != ".ids" {
		t.Errorf("left are %v", left)
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), dir) {
		t.Errorf("mounts are left: %v", err)
	}
	// A first process whose maker has died before it said anything sees that by itself.
	for len(marked(dir)) > 0 {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Errorf("processes are left: %v", marked(dir))
			return
		}
	}
}

// marks gives those of the sandboxes and of the blanks in a state directory: their control groups have no other name.
func marks(dir string) []string {
	var found []string
	labels, _ := filepath.Glob(filepath.Join(dir, "jail", "*", "label.json"))
	for _, file := range labels {
		var l struct{ Mark string }
		if b, err := os.ReadFile(file); err == nil && json.Unmarshal(b, &l) == nil && l.Mark != "" {
			found = append(found, l.Mark)
		}
	}
	blanks, _ := filepath.Glob(filepath.Join(dir, "jail", ".blank-*"))
	for _, b := range blanks {
		found = append(found, strings.TrimPrefix(filepath.Base(b), ".blank-"))
	}
	return found
}

// marked gives the processes that a controller's sandboxes have begun with.
func marked(dir string) []string {
	var found []string
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range all {
		b, err := os.ReadFile(f)
		if err == nil && strings.Contains("\x00"+string(b), "\x00TZ="+dir+"\x00") && strings.Contains(string(b), "SANDTREE_SANDBOX=") {
			found = append(found, f)
		}
	}
	return found
}

// TestNowhere has a jail made where none can be: in a jail.
func TestNowhere(t *testing.T) {
	program := controller(t)
	dir := t.TempDir()
	for from, to := range map[string]string{program: "controller", sandboxdtest.Binary(t): "sandboxd"} {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), b, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b := backends.Open("jail", open(t, t.TempDir()), backends.Config{})
	ends(t, b, "x")
	s := began(t, b, sandbox.Spec{ID: "x", Workspace: dir})
	got := run(t, s, "./controller /tmp/state ./sandboxd 2>&1 | head -3; ls /tmp/state/jail; pgrep sandboxd | wc -l")
	if !strings.Contains(got, "(unsupported)") || !strings.Contains(got, "user namespaces") || !strings.HasSuffix(got, "\n1") {
		t.Errorf("it says %q", got)
	}
}
