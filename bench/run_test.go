package bench_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends/local"
	"github.com/sandtree/sandtree/bench"
	"github.com/sandtree/sandtree/bench/result"
	"github.com/sandtree/sandtree/bench/target"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/dockerd"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// built is the program whose parts a run needs, built once.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := dockerd.Main(m)
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// sandboxd is the server's program, beside which sandtree is.
func program(t *testing.T) (sandtree []string, sandboxd string) {
	t.Helper()
	need.Tool(t, "bash")
	sandboxd = sandboxdtest.Binary(t)
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "bench-bin-"); built.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", filepath.Join(built.dir, "sandtree"), "../cmd/sandtree")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		cmd.Stderr = os.Stderr
		built.err = cmd.Run()
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return []string{filepath.Join(built.dir, "sandtree"), "bench", "part"}, sandboxd
}

// openLocal opens the local backend in a directory for temporary files of its own, where nothing must be left.
func openLocal(t *testing.T, sandboxd string) target.Target {
	t.Helper()
	temporary, err := os.MkdirTemp("", "tb-") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", temporary)
	s, err := target.Open(t.Context(), target.Config{Backend: "local", Driver: local.Open, Environ: os.Environ(),
		Values: map[string]any{"sandboxd": sandboxd}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(temporary, "*")); len(left) > 0 {
			t.Errorf("left in the temporary directory: %q", left)
		}
		if out, _ := exec.Command("pgrep", "-af", "--", temporary).Output(); len(out) > 0 {
			t.Errorf("left running: %s", out)
		}
		os.RemoveAll(temporary)
	})
	return s
}

// tiny has every kind, each as small as it can be and still be itself.
const tiny = `
name = "tiny"
[[scenario]]
name = "pause"
kind = "startup"
from = "pause"
samples = 1
[[scenario]]
name = "cold"
kind = "startup"
from = "cold"
rounds = 2
samples = 2
[[scenario]]
name = "warm"
kind = "startup"
from = "warm"
rounds = 2
samples = 1
[[scenario]]
name = "attach"
kind = "startup"
from = "attach"
rounds = 2
samples = 1
[[scenario]]
name = "halt"
kind = "startup"
from = "halt"
rounds = 2
samples = 1
[[scenario]]
name = "restore"
kind = "startup"
from = "restore"
rounds = 2
samples = 1
[[scenario]]
name = "fork"
kind = "startup"
from = "fork"
rounds = 2
samples = 1
[[scenario]]
name = "true"
kind = "latency"
op = "true"
rounds = 4
samples = 45
[[scenario]]
name = "output"
kind = "latency"
op = "output-1mb"
rounds = 2
samples = 2
[[scenario]]
name = "write"
kind = "latency"
op = "write-10kb"
rounds = 2
samples = 5
[[scenario]]
name = "read"
kind = "latency"
op = "read-10mb"
rounds = 2
samples = 2
[[scenario]]
name = "edit"
kind = "latency"
op = "edit"
rounds = 2
samples = 4
[[scenario]]
name = "closed"
kind = "throughput"
op = "true"
mode = "closed"
clients = 4
runtimes = 2
rounds = 2
duration = "300ms"
[[scenario]]
name = "open"
kind = "throughput"
op = "echo"
mode = "open"
rate = 20
rounds = 2
duration = "500ms"
[[scenario]]
name = "ramp"
kind = "throughput"
op = "true"
mode = "ramp"
rate = 4
rounds = 1
duration = "400ms"
limit = "60s"
[[scenario]]
name = "burst"
kind = "throughput"
op = "true"
mode = "burst"
clients = 5
rounds = 2
samples = 2
[[scenario]]
name = "density"
kind = "density"
runtimes = 3
[[scenario]]
name = "kill-server"
kind = "recovery"
piece = "server"
rounds = 1
samples = 1
[[scenario]]
name = "kill-sandbox"
kind = "recovery"
piece = "sandbox"
rounds = 1
samples = 1
[[scenario]]
name = "cut"
kind = "recovery"
piece = "connection"
rounds = 1
samples = 2
[[scenario]]
name = "kill-controller"
kind = "recovery"
piece = "controller"
rounds = 1
samples = 1
[[scenario]]
name = "streams"
kind = "connections"
streams = 110
runtimes = 2
duration = "1s"
[[scenario]]
name = "overload"
kind = "overload"
factor = 5
queue = 2
rounds = 1
duration = "500ms"
`

// TestEveryKind plays every kind for real, in small: whatever the machine does meanwhile, what must be exact is exact.
func TestEveryKind(t *testing.T) {
	leak.Check(t)
	part, sandboxd := program(t)
	set, err := bench.Parse("tiny.toml", []byte(tiny))
	if err != nil {
		t.Fatal(err)
	}
	heard := &hearer{t: t, last: time.Now(), ended: map[string]int{}}
	r, err := bench.Run(t.Context(), bench.Config{Set: set, Target: openLocal(t, sandboxd), Program: part, Version: "test", Listener: heard})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Scenarios) != len(set.Scenarios) || r.Schema != result.Schema || r.Target.Name != "local" || r.Machine.Cores < 1 || r.Machine.Memory == 0 ||
		r.Program.Version != "test" || r.Took <= 0 {
		t.Errorf("%d scenarios, %+v, %+v, %+v", len(r.Scenarios), r.Target, r.Machine, r.Program)
	}
	for _, s := range r.Scenarios {
		if heard.ended[s.Name] != 1 {
			t.Errorf("%s: its end was told %d times", s.Name, heard.ended[s.Name])
		}
		if s.Name == "pause" {
			if !strings.Contains(s.Unsupported, "pause") || s.Failed != "" || len(s.Series) > 0 {
				t.Errorf("pause: %+v", s)
			}
			continue
		}
		check(t, s)
	}
	for _, f := range r.Floors {
		if f.Summary.Count == 0 || f.Summary.P50 <= 0 {
			t.Errorf("the floor %q: %+v", f.Name, f.Summary)
		}
	}
	if len(r.Floors) < 5 {
		t.Errorf("%d floors", len(r.Floors))
	}
}

// check is what holds for every scenario that was played.
func check(t *testing.T, s result.Scenario) {
	t.Helper()
	if s.Failed != "" || s.Unsupported != "" {
		t.Errorf("%s: failed %q, unsupported %q", s.Name, s.Failed, s.Unsupported)
		return
	}
	if len(s.Series) == 0 || s.Series[0].Summary.Count == 0 {
		t.Errorf("%s: nothing was measured: %+v", s.Name, s.Series)
		return
	}
	for _, x := range s.Series {
		if x.Unit == "" || x.Better == "" || x.Summary.Max < x.Summary.P50 || x.Summary.P50 < x.Summary.Min {
			t.Errorf("%s: %s: %+v", s.Name, x.Name, x.Summary)
		}
	}
	for _, name := range []string{"lost", "repeated", "errors", "stalled", "broken", "silent"} {
		if s.Counts[name] != 0 {
			t.Errorf("%s: %d %s", s.Name, s.Counts[name], name)
		}
	}
	switch s.Kind {
	case "startup":
		if x := s.Series[0]; x.Name != "start" || x.Unit != "ns" || len(s.Phases) == 0 || x.Ratio <= 0 || x.Floor == "" {
			t.Errorf("%s: %s, phases %v, ratio %g", s.Name, x.Name, s.Phases, x.Ratio)
		}
	case "latency":
		if x := s.Series[0]; x.Name != "latency" || x.Ratio <= 0 || len(x.Rounds) < 2 || len(x.Ratios) != len(x.Rounds) {
			t.Errorf("%s: %+v", s.Name, x)
		}
	case "density":
		has(t, s, "runtimes", "start", "memory per runtime", "cpu per runtime", "latency of the first command")
	case "throughput":
		if s.Settings["mode"] == "closed" || s.Settings["mode"] == "open" {
			has(t, s, "throughput", "latency", "cpu", "memory")
		}
		if len(s.Timeline) == 0 && s.Settings["mode"] != "burst" {
			t.Errorf("%s has no timeline", s.Name)
		}
	case "recovery":
		if _, counted := s.Counts["lost"]; !counted || s.Series[0].Name != "recovery" {
			t.Errorf("%s: counts %v, first %s", s.Name, s.Counts, s.Series[0].Name)
		}
	case "connections":
		if s.Counts["streams"] != 110 {
			t.Errorf("%s: %v", s.Name, s.Counts)
		}
	case "overload":
		if s.Counts["refused"] == 0 || s.Counts["served"] == 0 || s.Counts["refused: exhausted"] != s.Counts["refused"] {
			t.Errorf("%s: %v", s.Name, s.Counts)
		}
	}
}

// has checks that series are there, the first at the head.
func has(t *testing.T, s result.Scenario, names ...string) {
	t.Helper()
	for i, name := range names {
		at := slices.IndexFunc(s.Series, func(x result.Series) bool { return x.Name == name && x.Summary.Count > 0 })
		if at < 0 || i == 0 && at > 0 {
			t.Errorf("%s: %q has place %d among its series", s.Name, name, at)
		}
	}
}

type hearer struct {
	t     *testing.T
	last  time.Time
	ended map[string]int
}

func (h *hearer) Hear(e bench.Event) {
	if e.Result != nil {
		h.ended[e.Scenario]++
		h.t.Logf("%s took %v", e.Scenario, time.Since(h.last))
		h.last = time.Now()
	}
}

// stopper ends a run when a scenario is at work.
type stopper struct {
	at   string
	stop context.CancelFunc
}

func (s stopper) Hear(e bench.Event) {
	if e.Scenario == s.at && e.Done > 0 && e.Result == nil {
		s.stop()
	}
}

func TestARunThatIsInterruptedHasWhatThereIs(t *testing.T) {
	leak.Check(t)
	part, sandboxd := program(t)
	set, err := bench.Parse("x.toml", []byte(`
[[scenario]]
name = "first"
kind = "latency"
op = "true"
rounds = 1
samples = 5
[[scenario]]
name = "endless"
kind = "latency"
op = "true"
rounds = 100
samples = 1000
[[scenario]]
name = "never"
kind = "latency"
op = "true"
`))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := bench.Run(ctx, bench.Config{Set: set, Target: openLocal(t, sandboxd), Program: part, Listener: stopper{"endless", cancel}})
	if sandbox.CodeOf(err) != sandbox.Canceled || len(r.Scenarios) != 2 || r.Scenarios[0].Failed != "" || r.Scenarios[1].Failed == "" ||
		r.Scenarios[1].Series[0].Summary.Count == 0 {
		t.Errorf("%v: %+v", err, r.Scenarios)
	}
}

// A system that cannot be reached is told once, and at once.
func TestRunOfWhatDoesNotAnswer(t *testing.T) {
	need.Tool(t, "false")
	set, err := bench.Load("quick")
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{"false {command}": "exit code 1", "echo {command}": "a shell", "/no/such/program": "no such file"} {
		template, err := target.Template(line)
		if err != nil {
			t.Fatal(err)
		}
		report, err := bench.Run(t.Context(), bench.Config{Set: set, Target: template})
		if sandbox.CodeOf(err) != sandbox.Unavailable || !strings.Contains(err.Error(), want) || len(report.Scenarios) > 0 {
			t.Errorf("%s: %v, %d scenarios; want Unavailable with %q, and none", line, err, len(report.Scenarios), want)
		}
	}
}

// What is cut off by whoever interrupts is no error of the target, and the time after it none in which nothing was done.
func TestALoadThatIsInterruptedHasNoErrors(t *testing.T) {
	leak.Check(t)
	part, sandboxd := program(t)
	set, err := bench.Parse("x.toml", []byte(`
[[scenario]]
name = "load"
kind = "throughput"
op = "true"
mode = "closed"
clients = 2
rounds = 1
duration = "1h"
limit = "2h"
`))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tg := &untilBusy{Target: openLocal(t, sandboxd), after: 50, stop: cancel}
	r, err := bench.Run(ctx, bench.Config{Set: set, Target: tg, Program: part})
	if sandbox.CodeOf(err) != sandbox.Canceled || len(r.Scenarios) != 1 {
		t.Fatalf("%v: %+v", err, r.Scenarios)
	}
	if s := r.Scenarios[0]; s.Counts["errors"] != 0 || s.Failed == "" || len(s.Timeline) != 0 {
		t.Errorf("%+v", s)
	}
	if !slices.ContainsFunc(r.Disturbed, func(s string) bool { return strings.Contains(s, "1 of 1 scenarios") }) {
		t.Errorf("it does not say that it is not whole: %q", r.Disturbed)
	}
}

// untilBusy is a target whose runtimes call stop when so many commands have been asked for.
type untilBusy struct {
	target.Target
	after int64
	stop  func()
	asked atomic.Int64
}

func (u *untilBusy) Start(ctx context.Context, w target.Wish) (target.Runtime, error) {
	rt, err := u.Target.Start(ctx, w)
	return busyRuntime{rt, u}, err
}

type busyRuntime struct {
	target.Runtime
	of *untilBusy
}

func (b busyRuntime) Run(ctx context.Context, line string) (target.Seen, error) {
	if b.of.asked.Add(1) == b.of.after {
		b.of.stop()
	}
	return b.Runtime.Run(ctx, line)
}

func TestRunRefuses(t *testing.T) {
	set, err := bench.Load("quick")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		config bench.Config
		want   sandbox.Code
	}{
		{bench.Config{Set: set, Only: []string{"true", "dance"}}, sandbox.NotFound},
		{bench.Config{}, sandbox.Invalid},
	} {
		c.config.Target = target.Exec()
		if _, err := bench.Run(t.Context(), c.config); sandbox.CodeOf(err) != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}
