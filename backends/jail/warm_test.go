package jail_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/drivertest"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// warmed is a driver whose sandboxes were warm before, as far as they can be.
type warmed struct{ *jail.Driver }

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

// TestWarmDriver wants of adopted jails all that is wanted of others.
func TestWarmDriver(t *testing.T) { testWarmDriver(t, "directory") }

func TestWarmDriverOnImages(t *testing.T) {
	need.Thorough(t)
	need.Root(t)
	need.Tool(t, "mkfs.ext4")
	testWarmDriver(t, "image")
}

func testWarmDriver(t *testing.T, storage string, without ...string) {
	drivertest.Run(t, func(t *testing.T) func() backends.Driver {
		leak.Check(t)
		dir := t.TempDir()
		t.Cleanup(func() { nothingLeft(t, dir) }) // after the suite has removed what was left
		return func() backends.Driver { return warmed{stored(t, dir, storage).(*jail.Driver)} }
	}, without...)
}

// nothingLeft looks for homes, blanks and numbers that are left in a state directory.
func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	left, _ := filepath.Glob(filepath.Join(dir, "jail", "[^.]*"))
	for _, hidden := range []string{".ids/*", ".blank*", ".gone*"} {
		more, _ := filepath.Glob(filepath.Join(dir, "jail", hidden))
		left = append(left, more...)
	}
	if len(left) > 0 {
		t.Errorf("left in the state directory: %v", left)
	}
}

// TestKilledPool kills a controller that has warm jails ready, and one after the other while it makes them and gives one away.
// The next one, or the next look at what there is, clears them away.
func TestKilledPool(t *testing.T) {
	program, dir, sandboxd := controller(t), t.TempDir(), sandboxdtest.Binary(t)
	b := backends.Open("jail", open(t, dir), backends.Config{})
	defer b.Close()
	for after := range 5 { // lines, of which the last says that one is a sandbox now
		cmd := exec.Command(program, dir, sandboxd, "3")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		for range after {
			if line, err := lines.ReadString('\n'); err != nil {
				t.Fatalf("the controller says %q: %v", line, err)
			}
		}
		l, err := b.List(t.Context(), "")
		if err != nil || after == 4 && (len(l) != 1 || l[0].ID != "crash" || l[0].Exited) {
			t.Errorf("listed are %+v, %v", l, err)
		}
		if blanks, _ := filepath.Glob(filepath.Join(dir, "jail", ".blank-*")); after == 4 && len(blanks) != 2 {
			t.Errorf("of those that are in use are left %q", blanks)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if after%2 == 1 {
			cleared(t, b, dir)
		}
		remove(t, b, dir)
	}
}

// cleared looks what there is until nothing is left of the blanks of a controller that was killed: what it was just about to
// start holds its locks for a moment longer.
func cleared(t *testing.T, b *backends.Backend, dir string) {
	t.Helper()
	blanks, _ := filepath.Glob(filepath.Join(dir, "jail", ".blank-*")) // one that has just become a sandbox lives on
	for until := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := b.List(t.Context(), ""); err != nil {
			t.Error(err)
		}
		var left []string
		for _, blank := range blanks {
			again, _ := filepath.Glob(blank)
			groups, _ := filepath.Glob("/sys/fs/cgroup/*/sandtree/" + strings.TrimPrefix(filepath.Base(blank), ".blank-"))
			left = append(append(left, again...), groups...)
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(until) {
			t.Errorf("looking does not clear %q", left)
			return
		}
	}
}

// TestWarmIsNoDifferent compares what programs, and whoever looks from outside, see of an adopted jail and of another.
func TestWarmIsNoDifferent(t *testing.T) {
	leak.Check(t)
	for name, change := range map[string]func(*sandbox.Spec){
		"plain": func(*sandbox.Spec) {},
		"with an environment": func(s *sandbox.Spec) {
			s.Env = map[string]string{"SECRET": "x y", "HOME": "/tmp", "SANDBOXD_KEY": "no"}
		},
		"with a workspace": func(s *sandbox.Spec) {
			s.Workspace = t.TempDir()
			if os.Geteuid() == 0 {
				if err := os.Chown(s.Workspace, 12345, 12345); err != nil {
					t.Fatal(err)
				}
			}
		},
		"with limits": func(s *sandbox.Spec) {
			s.Limits = sandbox.Limits{Processes: 50, Network: 1 << 20, Connections: 3}
			if os.Geteuid() == 0 {
				s.Limits.Memory, s.Limits.CPU, s.Limits.CPUShares = 300<<20, 0.5, 100
			}
		},
		"with a policy": func(s *sandbox.Spec) { s.Egress = sandbox.Egress{Mode: sandbox.EgressDenyAll} },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := open(t, dir).(*jail.Driver)
			defer d.Close()
			spec := sandbox.Spec{ID: "same", Owner: "me", Epoch: 4, OrphanAfter: time.Hour}
			change(&spec)
			cold, warm := strings.Split(look(t, d, dir, spec), "\n"), strings.Split(look(t, warmed{d}, dir, spec), "\n")
			for i := range max(len(cold), len(warm)) {
				if i >= len(cold) || i >= len(warm) || cold[i] != warm[i] {
					t.Fatalf("from line %d on a cold one has %q, and a warm one %q", i, first(cold, i, 3), first(warm, i, 3))
				}
			}
		})
	}
}

func first(lines []string, from, n int) []string {
	return lines[min(from, len(lines)):min(from+n, len(lines))]
}

// random is what is so in each jail, or counts up, and how wide a column of such figures is: that of links to /proc grows
// with the machine's processes.
var random = regexp.MustCompile(`x +\d+ nobody|(_PID|Pid|Tgid|NSpid|NStgid|NSpgid|NSsid|PPID|SHLVL|SigQ|SessionID|min_flt|nonvoluntary_ctxt_switches)[=:].*| +|[0-9a-f]{24,}|\d{4,}|pts/\d+|loop\d+|\d+:\d\d(:\d\d)?(\.\d+)?`)

func look(t *testing.T, driver backends.Driver, dir string, spec sandbox.Spec) string {
	t.Helper()
	b := backends.Open("jail", driver, backends.Config{})
	s, err := b.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(t.Context(), time.Second); err != nil {
			t.Error(err)
		}
	}()
	o, err := s.Do(t.Context(), sandbox.Action{Args: sandbox.RunArgs{Blocking: true, Command: `{ pwd; env | sort; tr '\0' '\n' </proc/$$/environ | sort
		declare -p OLDPWD; ls -Al . ~ / /tmp /run /run/sandtree /var/tmp /dev/shm; ulimit -a; touch new; stat -c '%u %g %a' . new ~; rm new
		cut -d' ' -f4- /proc/self/mountinfo | sort; df -a --output=size,target 2>&1 | sort; cat /proc/self/cgroup /proc/self/status | grep -Ev 'ctxt|Vm|Rss|Hugetlb'
		ps -eo comm,args,user,tty; cat /sys/fs/cgroup/memory/memory.{limit_in_bytes,memsw.limit_in_bytes,swappiness}
		cat /proc/uptime >/dev/null; hostname; id; ls -l /proc/1/fd 2>&1; tr '\0' ' ' </proc/1/cmdline; cat /proc/1/oom_score_adj
		ls /proc/$$/fd; (exec 3<>/dev/tcp/192.0.2.1/9) 2>&1; } 2>&1`}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	list, err := b.List(t.Context(), "me")
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	l := list[0]
	l.Created = time.Time{}
	text := fmt.Sprintf("%s\n%+v\n", o.Content, l)
	home := filepath.Join(dir, "jail", "same")
	files, err := filepath.Glob(filepath.Join(home, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintln(f, info.Mode())
		if base := filepath.Base(f); base == "label.json" || base == "log" || base == "key" {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			text += string(b) + "\n"
		}
	}
	text = random.ReplaceAllString(text, "…")
	if os.Geteuid() == 0 {
		for _, file := range []string{"cpu/sandtree/*/cpu.cfs_quota_us", "cpu/sandtree/*/cpu.shares", "pids/sandtree/*/pids.max"} {
			for _, mark := range marks(dir) {
				b, _ := os.ReadFile(filepath.Join("/sys/fs/cgroup", strings.Replace(file, "*", mark, 1)))
				text += file + " " + string(b)
			}
		}
	}
	return text
}
