package docker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/dockerd"
	"github.com/sandtree/sandtree/testing/drivertest"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
)

// warmed is a driver whose sandboxes were warm before, as far as they can be.
type warmed struct{ *Driver }

func (w warmed) Start(ctx context.Context, spec sandbox.Spec) (backends.Instance, error) {
	if _, ok := w.Shape(spec); !ok {
		return w.Driver.Start(ctx, spec)
	}
	b, err := w.Warm(ctx, spec)
	if err != nil {
		return nil, err
	}
	return b.Adopt(ctx, spec)
}

// TestWarmDriver wants of adopted containers what is wanted of others. It takes as long as that of the others, and so is run when
// something about them has changed.
func TestWarmDriver(t *testing.T) {
	need.Thorough(t)
	dockerd.Host(t)
	drivertest.Run(t, func(t *testing.T) func() backends.Driver {
		leak.Check(t)
		c := testConfig(t)
		c.Environ = os.Environ()
		c.User = strconv.Itoa(os.Geteuid()) // whose the workspaces are
		return func() backends.Driver {
			d, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			return warmed{d}
		}
	})
}

// TestWarmIsNoDifferent compares what programs, and whoever looks from outside, see of an adopted container and of another, when
// it is new and when it was started again.
func TestWarmIsNoDifferent(t *testing.T) {
	for name, change := range map[string]func(*sandbox.Spec){
		"plain":               func(*sandbox.Spec) {},
		"with an environment": func(s *sandbox.Spec) { s.Env = map[string]string{"SECRET": "x y", "SANDBOXD_KEY": "no"} },
		"with limits":         func(s *sandbox.Spec) { s.Limits = sandbox.Limits{Memory: 300 << 20, Processes: 50, CPU: 0.5} },
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := opened(t, testConfig(t))
			spec := sandbox.Spec{ID: "same", Owner: "me", Epoch: 4, OrphanAfter: time.Hour}
			change(&spec)
			cold, warm := strings.Split(look(t, d, d, spec), "\n"), strings.Split(look(t, d, warmed{d}, spec), "\n")
			for i := range max(len(cold), len(warm)) {
				if i >= len(cold) || i >= len(warm) || cold[i] != warm[i] {
					t.Fatalf("line %d of a cold one is %q, of a warm one %q", i, cold[min(i, len(cold)):min(i+3, len(cold))], warm[min(i, len(warm)):min(i+3, len(warm))])
				}
			}
		})
	}
}

// random is what is so in each, or counts up.
var random = regexp.MustCompile(`x \d+ root|(_PID|Pid|Tgid|NSpid|NStgid|NSpgid|NSsid|PPID|SHLVL|SigQ|SessionID)[=:].*|[0-9a-f]{24,}|\d{4,}|pts/\d+|\d+:\d\d(:\d\d)?(\.\d+)?|l=.*upperdir=\S+`)

func look(t *testing.T, d *Driver, starting backends.Driver, spec sandbox.Spec) (text string) {
	t.Helper()
	b := backends.Open("docker", starting, backends.Config{})
	s, err := b.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(t.Context(), time.Second); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(d.root, blankPrefix+"*")); len(left) > 0 {
			t.Errorf("left are %q", left)
		}
	}()
	const command = `{ pwd; env | sort; tr '\0' '\n' </proc/$$/environ | sort; declare -p OLDPWD; ls -Al . ~ /tmp /run; ulimit -a
		touch new; stat -c '%u %g %a' . new ~; rm new; cat /proc/self/status | grep -Ev 'ctxt|Vm|Rss|Hugetlb'; hostname; id
		cut -d' ' -f4,5 /proc/self/mountinfo | grep -E ' /(workspace|home/sandbox|etc/host.*)|sandtree' | sort
		tr '\0' ' ' </proc/1/cmdline; cat /proc/1/oom_score_adj; ls /proc/$$/fd; } 2>&1`
	for epoch := range uint64(2) {
		if epoch > 0 {
			if err := s.Halt(t.Context()); err != nil {
				t.Fatal(err)
			}
			spec.Epoch++
			if s, err = b.Start(t.Context(), spec); err != nil {
				t.Fatal(err)
			}
		}
		o, _ := run(t, s, command)
		list, err := b.List(t.Context(), "me")
		if err != nil || len(list) != 1 || list[0].Exited {
			t.Fatalf("%v, %v", list, err)
		}
		l := list[0]
		l.Created = time.Time{}
		c, err := d.engine.ContainerInspect(t.Context(), s.Instance().(*instance).label.Container)
		if err != nil {
			t.Fatal(err)
		}
		r := c.HostConfig.Resources
		text += fmt.Sprintf("%s\n%+v\n%d %d %d\n", o, l, r.Memory, r.NanoCPUs, *r.PidsLimit)
	}
	files, err := filepath.Glob(filepath.Join(d.root, "same", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintln(f, info.Mode())
	}
	return random.ReplaceAllString(text, "…")
}

// TestBlank has one that is not needed, one whose maker has died, and one that a sandbox stands in the way of.
func TestBlank(t *testing.T) {
	c := testConfig(t)
	d, b := opened(t, c)
	warm := func() *blank {
		t.Helper()
		w, err := d.Warm(t.Context(), sandbox.Spec{})
		if err != nil {
			t.Fatal(err)
		}
		return w.(*blank)
	}
	gone := func(w *blank) {
		t.Helper()
		if in, err := d.containers(t.Context()); err != nil || len(in[w.label.Container].ID) > 0 {
			t.Errorf("its container is left: %v", err)
		}
		if _, err := os.Lstat(string(w.home)); err == nil {
			t.Error("its directory is left")
		}
	}
	w := warm()
	if l, err := b.List(t.Context(), ""); err != nil || len(l) > 0 || !w.Alive() {
		t.Errorf("of one that waits is listed %v, %v; alive is %v", l, err, w.Alive())
	}
	if w.told.call == nil {
		t.Error("its server is told through the engine")
	}
	for range 2 {
		if err := w.Stop(t.Context(), 0); err != nil || w.Alive() {
			t.Errorf("Stop: %v, alive %v", err, w.Alive())
		}
	}
	gone(w)
	w = warm()
	w.unlock() // as the end of its maker does, which hangs up too
	w.told.conn.Close()
	if _, err := b.List(t.Context(), ""); err != nil {
		t.Error(err)
	}
	gone(w)
	spec := sandbox.Spec{ID: "a", Epoch: 1}
	if _, err := b.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	w = warm()
	i, err := w.Adopt(t.Context(), spec)
	if err != nil || !i.(backends.Found).Found() {
		t.Errorf("adopting where a sandbox lives: %v", err)
	}
	gone(w)
}
