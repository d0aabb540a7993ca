package supervisor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
)

// warm waits until so many are warm.
func warm(t testing.TB, s *System, n int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if all := s.Pools(); len(all) == 1 && all[0].Warm == n {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("there are %+v, want %d", all, n)
		}
	}
}

// wasWarm says whether the server of a runtime waited before.
func wasWarm(t testing.TB, rt *Runtime) bool {
	t.Helper()
	return strings.HasSuffix(run(t, rt, `tr '\0' ' ' < /proc/$SANDBOXD_PID/cmdline; echo`), "sandboxd await")
}

func TestPool(t *testing.T) {
	leak.Check(t)
	dir := stateDir(t)
	s := openSystem(t, dir, func(c *Config) { c.Pool = Pool{Least: 1, Most: 2} })
	warm(t, s, 1)
	if homes, _ := os.ReadDir(filepath.Join(dir, "local")); len(homes) > 0 {
		t.Errorf("what is nobody's has left %v", homes)
	}
	a := openRuntime(t, s, sandbox.Spec{ID: "a", Env: map[string]string{"OF": "a b"}})
	if !wasWarm(t, a) {
		t.Error("the first was not warm")
	}
	if got := run(t, a, `echo "$OF"; pwd`); got != "a b\n"+filepath.Join(homeOf(dir, "a"), "workspace") {
		t.Errorf("it has %q", got)
	}
	warm(t, s, 1)
	b := openRuntime(t, s, sandbox.Spec{ID: "b"})
	if !wasWarm(t, b) {
		t.Error("the second was not warm")
	}
	if got := run(t, b, `echo "$OF"; ls`); got != "" {
		t.Errorf("it knows of the first: %q", got)
	}
	warm(t, s, 2) // two were asked for
	for _, id := range []sandbox.ID{"c", "d", "e"} {
		run(t, openRuntime(t, s, sandbox.Spec{ID: id}), "true") // warm or cold
	}
	// One that dies is revived, warm too.
	warm(t, s, 2)
	if _, err := a.Run(t.Context(), "kill -9 $SANDBOXD_PID", nil); err != nil {
		t.Fatal(err)
	}
	if !wasWarm(t, a) {
		t.Error("the revived one was not warm")
	}
	for _, id := range []sandbox.ID{"a", "b", "c", "d", "e"} {
		if err := s.Remove(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
}

func TestNoPool(t *testing.T) {
	s := openSystem(t, stateDir(t), nil)
	if rt := openRuntime(t, s, sandbox.Spec{ID: "a"}); wasWarm(t, rt) || s.Pools() != nil {
		t.Error("there is a pool that nobody has asked for")
	}
	_, err := Open(t.Context(), Config{StateDir: stateDir(t), Drivers: s.cfg.Drivers, Pool: Pool{Least: 2, Most: 1}})
	expectCode(t, "more at least than at most", err, sandbox.Invalid)
}
