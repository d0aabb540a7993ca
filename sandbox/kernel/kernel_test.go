package kernel

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/internal/child"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
)

// kernels gives real ones, whose files and processes are looked for at the end.
func kernels(t testing.TB, c Config) *Kernels {
	t.Helper()
	need.Kernel(t)
	leak.Check(t)
	if c.RunDir == "" {
		c.RunDir = t.TempDir()
	}
	if c.Env == nil {
		c.Env = os.Environ
	}
	ks := New(c)
	t.Cleanup(func() {
		pids := []int{}
		for _, i := range ks.List() {
			pids = append(pids, i.PID)
		}
		if err := ks.Close(); err != nil {
			t.Error(err)
		}
		if err := ks.Close(); err != nil {
			t.Errorf("the second Close: %v", err)
		}
		for _, pid := range pids {
			if pid > 0 && syscall.Kill(pid, 0) == nil {
				t.Errorf("process %d is left", pid)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(c.RunDir, "*")); len(left) > 0 {
			t.Errorf("%q are left", left)
		}
	})
	return ks
}

// cell runs code in the main kernel and gives the content of the observation without the lines at its end.
func runCell(t testing.TB, ks *Kernels, code string) string {
	t.Helper()
	return cellIn(t, ks, "", code, 0)
}

func cellIn(t testing.TB, ks *Kernels, name, code string, timeout time.Duration) string {
	t.Helper()
	o, err := ks.Run(t.Context(), name, sandbox.IPythonArgs{Code: code}, timeout, "/", nil)
	if err != nil {
		t.Fatalf("%s: %v", code, err)
	}
	if r, ok := o.Result.(sandbox.IPythonResult); !ok || r.Code != code {
		t.Fatalf("%s: %+v", code, o)
	}
	return o.Content
}

func TestCells(t *testing.T) {
	ks := kernels(t, Config{})
	for _, c := range []struct{ code, want string }{
		{"print('Hello, `World`!\\n')", "Hello, `World`!"},
		{"x = 41", noOutput},
		{"x + 1", "42"},
		{"import sys; print('a'); print('b', file=sys.stderr); 'c'", "a\nb\n'c'"},
		{"for i in range(3): print(f'\\r{i} %', end='')", "2 %"},
		{"print('\\x1b[31mred\\x1b[0m')", "red"},
		{"from IPython.display import clear_output\nprint('old'); clear_output(); print('new')", "new"},
		{"print('')", ""},
		{"!echo from a shell", "from a shell"},
		{"%cd /tmp", "/tmp"},
		{"import os; os.getcwd()", "'/tmp'"}, // until the shell's changes
		{"import nosuch", "ModuleNotFoundError: No module named 'nosuch'"},
		{"input()", "StdinNotImplementedError"},
		{"len?", "Return the number of items in a container."},
		{"if", "SyntaxError"},
		{"", noOutput},
	} {
		got := runCell(t, ks, c.code)
		if strings.ContainsRune(got, '\x1b') {
			t.Errorf("%s: colours in %q", c.code, got)
		}
		if got != c.want && !(strings.Contains(got, "\n") && strings.Contains(got, c.want)) {
			t.Errorf("%s\ngives %q\nwant  %q", c.code, got, c.want)
		}
	}
}

func TestExtraLines(t *testing.T) {
	ks := kernels(t, Config{})
	o, err := ks.Run(t.Context(), "", sandbox.IPythonArgs{Code: "import sys; print(sys.executable)", IncludeExtra: true}, 0, "/usr", nil)
	if err != nil {
		t.Fatal(err)
	}
	path, _, _ := strings.Cut(o.Content, "\n")
	if want := path + "\n[Jupyter current working directory: /usr]\n[Jupyter Python interpreter: " + path + "]"; o.Content != want || !filepath.IsAbs(path) {
		t.Errorf("%q", o.Content)
	}
}

// The kernel goes where the shell goes, and hears of new variables.
func TestInStepWithTheShell(t *testing.T) {
	var mu sync.Mutex
	env := os.Environ()
	ks := kernels(t, Config{Env: func() []string { mu.Lock(); defer mu.Unlock(); return env }})
	in := func(cwd, code string) string {
		o, err := ks.Run(t.Context(), "", sandbox.IPythonArgs{Code: code}, 0, cwd, nil)
		if err != nil {
			t.Fatal(err)
		}
		return o.Content
	}
	strange := filepath.Join(t.TempDir(), "a'b\\c ü\xff")
	if err := os.Mkdir(strange, 0o755); err != nil {
		t.Fatal(err)
	}
	where := "import os; print(os.getcwdb() == os.fsencode(" + pythonBytes(strange) + "), os.environ.get('NEW'))"
	if got := in("/", where); got != "False None" {
		t.Error(got)
	}
	mu.Lock()
	env = append(env[:len(env):len(env)], "NEW=it's \\ new\n2")
	mu.Unlock()
	if got := in(strange, where); got != "True it's \\ new\n2" {
		t.Error(got)
	}
	if got := in(strange, "os.chdir('/usr')\n"+where) + in(strange, where); strings.Contains(got, "True") {
		t.Error("the kernel went back:", got)
	}
	if got := in("/no/such", "1"); got != "1" {
		t.Error(got)
	}
}

func TestOutputStreams(t *testing.T) {
	ks := kernels(t, Config{})
	fifo := filepath.Join(t.TempDir(), "go")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	out := func(offset int64, p []byte) {
		if offset != int64(got.Len()) {
			t.Errorf("offset %d, want %d", offset, got.Len())
		}
		if got.Write(p); strings.Contains(got.String(), "first") && !strings.Contains(got.String(), "last") {
			go os.WriteFile(fifo, nil, 0) // the cell goes on when its output has been seen, and not before
		}
	}
	o, err := ks.Run(t.Context(), "", sandbox.IPythonArgs{Code: "print('first', flush=True)\nopen('" + fifo + "').read()\nprint('last')"}, 0, "/", out)
	if err != nil || o.Content != "first\nlast" || got.String() != "first\nlast\n" {
		t.Errorf("%q, %q, %v", o.Content, got.String(), err)
	}
}

func TestInterrupt(t *testing.T) {
	ks := kernels(t, Config{})
	if err := ks.Interrupt(""); sandbox.CodeOf(err) != sandbox.NotFound {
		t.Error(err)
	}
	runCell(t, ks, "import time")
	if err := ks.Interrupt(""); sandbox.CodeOf(err) != sandbox.Conflict {
		t.Error(err)
	}
	out := func(_ int64, p []byte) {
		if string(p) == "begun\n" {
			if err := ks.Interrupt(Main); err != nil {
				t.Error(err)
			}
		}
	}
	o, err := ks.Run(t.Context(), "", sandbox.IPythonArgs{Code: "print('begun', flush=True)\nwhile True: time.sleep(1000)"}, 0, "/", out)
	if err != nil || !strings.Contains(o.Content, "KeyboardInterrupt") {
		t.Errorf("%q, %v", o.Content, err)
	}
	if got := runCell(t, ks, "1"); got != "1" {
		t.Error(got)
	}
}

func TestTimeout(t *testing.T) {
	ks := kernels(t, Config{})
	runCell(t, ks, "import time")
	if got := cellIn(t, ks, "", "print(1)\ntime.sleep(1000)", 300*time.Millisecond); got != "[Execution timed out (0.3 seconds).]" {
		t.Error(got)
	}
	if got := cellIn(t, ks, "", "2", 30*time.Second); got != "2" {
		t.Error(got)
	}
	// A cell that is not to be stopped holds up the next one, which has not begun when its time is over: it must not
	// run later.
	stubborn := "while not done:\n  try: time.sleep(1000)\n  except KeyboardInterrupt: done = time.time() > start + .5"
	cellIn(t, ks, "", "done = False; x = 1; start = time.time()\n"+stubborn, 100*time.Millisecond)
	if got := cellIn(t, ks, "", "x = 2\ntime.sleep(1000)\nx = 3", 100*time.Millisecond); got != "[Execution timed out (0.1 seconds).]" {
		t.Error(got)
	}
	for range 100 {
		if ks.Interrupt("") != nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if got := cellIn(t, ks, "", "x", 30*time.Second); got == "3" {
		t.Error(got)
	}
}

func TestDeath(t *testing.T) {
	ks := kernels(t, Config{Child: child.Config{Cgroup: need.Cgroup(t)}})
	runCell(t, ks, "import os, time; x = 1")
	out := func(_ int64, p []byte) {
		if pid, err := strconv.Atoi(strings.TrimSpace(string(p))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	o, err := ks.Run(t.Context(), "", sandbox.IPythonArgs{Code: "print(os.getpid(), flush=True)\ntime.sleep(1000)"}, 0, "/", out)
	if _, got, _ := strings.Cut(o.Content, "\n"); err != nil || !strings.HasPrefix(got, "[The kernel died while the cell was running: it was killed (SIGKILL)") {
		t.Errorf("%q, %v", o.Content, err)
	}
	if got := runCell(t, ks, "'x' in globals()"); !strings.Contains(got, "variables and imports of earlier cells are lost.]\nFalse") {
		t.Error(got)
	}
	got := runCell(t, ks, "import faulthandler; faulthandler._sigsegv()")
	if !strings.Contains(got, "segmentation fault:\nFatal Python error: Segmentation fault") {
		t.Error(got)
	}
	runCell(t, ks, "exit()")
	for deadline := time.Now().Add(30 * time.Second); ks.List()[0].State != "dead" && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if got := runCell(t, ks, "3"); !strings.Contains(got, "exited with status 0") || !strings.HasSuffix(got, "]\n3") {
		t.Error(got)
	}
	if got := runCell(t, ks, "4"); got != "4" {
		t.Error(got)
	}
}
