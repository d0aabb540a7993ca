package local_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/local"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/drivertest"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// warmed is a driver all of whose sandboxes were warm before.
type warmed struct{ *local.Driver }

func (w warmed) Start(ctx context.Context, spec sandbox.Spec) (backends.Instance, error) {
	b, err := w.Warm(ctx, spec)
	if err != nil {
		return nil, err
	}
	return b.Adopt(ctx, spec)
}

// TestWarmDriver wants of adopted sandboxes all that is wanted of others.
func TestWarmDriver(t *testing.T) {
	program := sandboxdtest.Binary(t)
	drivertest.Run(t, func(t *testing.T) func() backends.Driver {
		leak.Check(t)
		dir := t.TempDir()
		return func() backends.Driver {
			d, err := local.New(local.Config{StateDir: dir, Sandboxd: program, Environ: os.Environ()})
			if err != nil {
				t.Fatal(err)
			}
			return warmed{d}
		}
	})
}

// TestWarmIsNoDifferent compares what programs, and whoever looks from outside, see of an adopted sandbox and of another.
func TestWarmIsNoDifferent(t *testing.T) {
	leak.Check(t)
	d, err := local.New(local.Config{StateDir: t.TempDir(), Sandboxd: sandboxdtest.Binary(t)})
	if err != nil {
		t.Fatal(err)
	}
	look := func(driver backends.Driver, env map[string]string) string {
		b := backends.Open("local", driver, backends.Config{})
		s, err := b.Start(t.Context(), sandbox.Spec{ID: "same", Owner: "me", Epoch: 4, Env: env, Limits: sandbox.Limits{}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Stop(t.Context(), time.Second); err != nil {
				t.Error(err)
			}
		}()
		o, err := s.Do(t.Context(), sandbox.Action{Args: sandbox.RunArgs{Command: `pwd; env | sort; declare -p HOME OLDPWD; ls -A . ~; ulimit -a
			tr '\0' '\n' </proc/$$/environ | sort; ls /proc/$$/fd; cat /proc/$$/cgroup; readlink /proc/$$/cwd; umask; jobs; trap; dirs
			readlink /proc/$SANDBOXD_PID/cwd; ls -l /proc/$SANDBOXD_PID/fd | grep -c pipe; tr '\0' '\n' < /proc/$SANDBOXD_PID/status | grep -E 'Sig|Cap|Seccomp|NoNew|Groups|Uid'`}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		list, err := b.List(t.Context(), "me")
		if err != nil || len(list) != 1 {
			t.Fatalf("%v, %v", list, err)
		}
		l := list[0]
		files, err := filepath.Glob(filepath.Join(filepath.Dir(l.Workspace), "*"))
		if err != nil {
			t.Fatal(err)
		}
		l.Created = time.Time{}
		return fmt.Sprintf("%s\n%+v\n%s", o.Content, l, strings.Join(files, "\n"))
	}
	// What is random in each sandbox, or counts up.
	random := regexp.MustCompile(`[0-9a-f]{24}|shell-[a-z0-9]{12}|(_PID|PPID|SHLVL|SigQ|SessionID)[=:].*|\d{4,}`)
	for name, env := range map[string]map[string]string{"plain": nil, "variables": {"SECRET": "x y"}, "another home": {"HOME": "/tmp"}} {
		cold, warm := random.ReplaceAllString(look(d, env), "…"), random.ReplaceAllString(look(warmed{d}, env), "…")
		if cold != warm {
			t.Errorf("%s: cold:\n%s\n\nwarm:\n%s", name, cold, warm)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestBlankThatIsNotNeeded(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	d, err := local.New(local.Config{StateDir: dir, Sandboxd: sandboxdtest.Binary(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	blank := func() backends.Blank {
		t.Helper()
		b, err := d.Warm(t.Context(), sandbox.Spec{})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := blank()
	if !b.Alive() {
		t.Error("it does not live")
	}
	for range 2 {
		if err := b.Stop(t.Context(), 0); err != nil || b.Alive() {
			t.Errorf("Stop: %v, alive %v", err, b.Alive())
		}
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "local")); len(left) > 0 {
		t.Errorf("it has left %v", left)
	}
	// One that has been used, and one that was stopped, is no hindrance.
	spec := sandbox.Spec{ID: "a", Epoch: 1}
	first, err := b.Adopt(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	again := blank()
	i, err := again.Adopt(t.Context(), spec)
	if err != nil || !i.(backends.Found).Found() || again.Alive() {
		t.Errorf("adopting where a sandbox lives: %v", err)
	}
	if err := first.Stop(t.Context(), time.Second); err != nil {
		t.Error(err)
	}
}
