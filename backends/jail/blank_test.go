package jail_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
)

// TestBlankThatIsNotNeeded has one that nobody wants, one that a sandbox stands in the way of, one that is no jail of the kind that
// is asked for, and one that has ended. Nothing is left of any.
func TestBlankThatIsNotNeeded(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	d := open(t, dir).(*jail.Driver)
	b := backends.Open("jail", d, backends.Config{})
	warm := func() backends.Blank {
		t.Helper()
		w, err := d.Warm(t.Context(), sandbox.Spec{})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := warm()
	waiting := marks(dir)
	if l, err := b.List(t.Context(), ""); err != nil || len(l) > 0 || !w.Alive() || len(waiting) != 1 {
		t.Errorf("of one that waits is listed %v, %v; alive is %v, marks are %q", l, err, w.Alive(), waiting)
	}
	for range 2 {
		if err := w.Stop(t.Context(), 0); err != nil || w.Alive() {
			t.Errorf("Stop: %v, alive %v", err, w.Alive())
		}
	}
	if groups, _ := filepath.Glob("/sys/fs/cgroup/*/sandtree/" + waiting[0]); len(groups) > 0 {
		t.Errorf("left are %q", groups)
	}
	nothingLeft(t, dir)
	ends(t, b, "a", "b", "c")
	spec := sandbox.Spec{ID: "a", Epoch: 1}
	if _, err := warm().Adopt(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if i, err := warm().Adopt(t.Context(), spec); err != nil || !i.(backends.Found).Found() {
		t.Errorf("adopting where a sandbox lives: %v", err)
	}
	other := sandbox.Spec{ID: "b", Limits: sandbox.Limits{Processes: 77}}
	if mine, ok := d.Shape(sandbox.Spec{}); !ok || mine != "" {
		t.Errorf("the ordinary shape is %q, %v", mine, ok)
	}
	if theirs, ok := d.Shape(other); !ok || theirs == "" {
		t.Errorf("with fewer processes it is %q, %v", theirs, ok)
	}
	if i, err := warm().Adopt(t.Context(), other); err != nil || i.(backends.Found).Found() {
		t.Errorf("adopting one of another shape: %v", err)
	}
	// One whose server is killed as it waits is as good as none.
	w = warm()
	pid, err := filepath.Glob(filepath.Join(dir, "jail", ".blank-*", "pid.json"))
	if err != nil || len(pid) != 1 {
		t.Fatalf("%q, %v", pid, err)
	}
	kill(t, pid[0])
	for w.Alive() {
		time.Sleep(time.Millisecond) // it is dying; nothing else tells of that
	}
	if _, err := w.Adopt(t.Context(), sandbox.Spec{ID: "c"}); err != nil {
		t.Errorf("adopting one that has ended: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "jail", ".blank-*")); len(left) > 0 {
		t.Errorf("left are %q", left)
	}
}

// kill kills the process that a file names.
func kill(t *testing.T, file string) {
	t.Helper()
	var id struct{ PID int }
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &id)
	}
	if err == nil {
		err = syscall.Kill(id.PID, syscall.SIGKILL)
	}
	if err != nil {
		t.Fatal(err)
	}
}
