package local

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
)

// opened gives a driver on a fresh state directory, or on dir, with a stub for a server. What the test leaves is removed.
func opened(t testing.TB, dir, mode string) *Driver {
	t.Helper()
	d, err := New(Config{StateDir: dir, Sandboxd: stubbed(t, mode)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l, err := d.List(context.Background(), "")
		if err != nil {
			t.Error(err)
		}
		for _, l := range l {
			if err := d.Remove(context.Background(), l.ID, backends.AnyEpoch, 0); err != nil {
				t.Error(err)
			}
		}
		d.Close()
	})
	return d
}

func started(t testing.TB, d *Driver, spec sandbox.Spec) *instance {
	t.Helper()
	i, err := d.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return i.(*instance)
}

func wantCode(t *testing.T, what string, err error, code sandbox.Code) {
	t.Helper()
	if got := sandbox.CodeOf(err); got != code {
		t.Errorf("%s: code %q, want %q: %v", what, got, code, err)
	}
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path != dir && path != filepath.Join(dir, "local") {
			t.Errorf("%s is left (%v)", path, err)
		}
		return nil
	})
}

// said is what the stub says of itself.
func said(t *testing.T, i *instance) string {
	t.Helper()
	c, err := i.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestStartThatDies(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	d := opened(t, dir, "die")
	_, err := d.Start(t.Context(), sandbox.Spec{ID: "x"})
	wantCode(t, "Start", err, sandbox.Unavailable)
	if err == nil || !strings.Contains(err.Error(), "exited with code 3") || !strings.Contains(err.Error(), "last word") {
		t.Errorf("the error does not say how and why it died: %v", err)
	}
	wantEmpty(t, dir)
}

func TestStartThatHangs(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	d := opened(t, dir, "mute")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := d.Start(ctx, sandbox.Spec{ID: "x"})
	wantCode(t, "Start", err, sandbox.Canceled)
	wantEmpty(t, dir)
	all, err := reap.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if b, _ := os.ReadFile("/proc/" + strconv.Itoa(p.PID) + "/cmdline"); strings.Contains(string(b), "100011") {
			t.Errorf("process %d is left of it", p.PID)
		}
	}
}

func TestStartWithoutProgram(t *testing.T) {
	dir := t.TempDir()
	d, err := New(Config{StateDir: dir, Sandboxd: filepath.Join(dir, "missing")})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	_, err = d.Start(t.Context(), sandbox.Spec{ID: "x"})
	wantCode(t, "Start", err, sandbox.Invalid)
	if err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("the error does not say what to do: %v", err)
	}
	wantCode(t, "Check", d.Check(t.Context()), sandbox.Invalid)
	wantEmpty(t, dir)
}

// TestDeadStart is a start that was killed after it had started a server and before it could note it.
func TestDeadStart(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	d := opened(t, dir, "serve")
	stray := started(t, d, sandbox.Spec{ID: "x"})
	if err := os.Remove(stray.Home.PIDFile()); err != nil {
		t.Fatal(err)
	}
	again := started(t, d, sandbox.Spec{ID: "x"})
	if again.Process.PID == stray.Process.PID {
		t.Error("what was not noted is found")
	}
	if exit, err := stray.Wait(t.Context()); err != nil || exit.Signal != 9 {
		t.Errorf("the stray server: %v, %v", exit, err)
	}
}

// TestReusedNumber has a home name a process that is another's: it must not be touched.
func TestReusedNumber(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	d := opened(t, dir, "serve")
	i := started(t, d, sandbox.Spec{ID: "x"})
	i.Process.Signal(syscall.SIGKILL)
	if _, err := i.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	stranger := started(t, d, sandbox.Spec{ID: "y"})
	for _, id := range []held.Identity{
		{PID: stranger.Process.PID, Start: i.Process.Start, Boot: i.Process.Boot},
		{PID: stranger.Process.PID, Start: stranger.Process.Start, Boot: "another"},
	} {
		if err := held.WriteJSON(i.Home.PIDFile(), id); err != nil {
			t.Fatal(err)
		}
		_, err := d.Attach(t.Context(), "x")
		wantCode(t, "Attach", err, sandbox.NotFound)
		if l, err := d.List(t.Context(), ""); err != nil || len(l) != 2 || !l[0].Exited || l[1].Exited {
			t.Errorf("listed as %+v, %v", l, err)
		}
	}
	if err := d.Remove(t.Context(), "x", backends.AnyEpoch, 0); err != nil {
		t.Error(err)
	}
	if !stranger.Process.Alive() {
		t.Error("the stranger was killed")
	}
}

func TestExitStatus(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	d := opened(t, dir, "serve")
	i := started(t, d, sandbox.Spec{ID: "x"})
	second := opened(t, dir, "serve")
	attached, err := second.Attach(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	i.Process.Signal(syscall.SIGTERM)
	want := sandbox.Exit{Code: 7}
	for _, i := range []backends.Instance{i, attached} {
		// Both are in the process that started it, so both can know.
		if exit, err := i.Wait(t.Context()); err != nil || exit != want {
			t.Errorf("Wait: %+v, %v", exit, err)
		}
	}
	if p, err := reap.Stat(i.Process.PID); err == nil && p.Start == i.Process.Start {
		t.Error("it is left as a zombie")
	}
	// A process that sees only the note.
	if exit := homes.Told(held.ReadExit(i.Home.ExitFile(), i.Process.Identity)); exit != want {
		t.Errorf("the note says %+v", exit)
	}
	other := i.Process.Identity
	other.Start++
	if exit := homes.Told(held.ReadExit(i.Home.ExitFile(), other)); exit.Code != -1 || exit.Reason == "" {
		t.Errorf("the note of another says %+v", exit)
	}
}

func TestStopOfDeaf(t *testing.T) {
	leak.Check(t)
	d := opened(t, t.TempDir(), "deaf")
	i := started(t, d, sandbox.Spec{ID: "x"})
	begun := time.Now()
	if err := i.Stop(t.Context(), 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < 200*time.Millisecond {
		t.Errorf("it had a grace of only %v", took)
	}
	if exit, err := i.Wait(t.Context()); err != nil || exit.Signal != 9 {
		t.Errorf("Wait: %+v, %v", exit, err)
	}
}

// TestClosed asks a closed driver: nothing hangs, and the sandbox lives.
func TestClosed(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	next := opened(t, dir, "serve")
	d := opened(t, dir, "serve")
	i := started(t, d, sandbox.Spec{ID: "x"})
	waited := make(chan error)
	go func() {
		_, err := i.Wait(t.Context())
		waited <- err
	}()
	d.Close()
	d.Close()
	wantCode(t, "Wait", <-waited, sandbox.Unavailable)
	_, err := d.Start(t.Context(), sandbox.Spec{ID: "y"})
	wantCode(t, "Start", err, sandbox.Unavailable)
	_, err = d.Attach(t.Context(), "x")
	wantCode(t, "Attach", err, sandbox.Unavailable)
	again, err := next.Attach(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Stop(t.Context(), time.Minute); err != nil {
		t.Error(err)
	}
}

func TestServerProcess(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	t.Setenv("LOCAL_SECRET", "of the controller")
	d := opened(t, dir, "serve")
	d.config.Environ = []string{"PATH=/usr/bin:/bin", "LANG=de_DE", "LOCAL_SECRET=of the controller", "TZ="}
	i := started(t, d, sandbox.Spec{ID: "x", Owner: "me", Epoch: 3, OrphanAfter: time.Hour, Env: map[string]string{"TOKEN": "hush\n"}})
	p, err := reap.Stat(i.Process.PID)
	if err != nil || p.SID != p.PID {
		t.Errorf("the server is in session %d, not its own: %v", p.SID, err)
	}
	text := said(t, i)
	for _, want := range []string{
		`"--owner" "me" "--epoch" "3"`, `"--orphan-after" "1h0m0s"`, `LANG=de_DE`, `PATH=/usr/bin:/bin`, `TOKEN=hush\n\x00`,
		homes.MarkName + "=" + i.Label.Mark,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it has no %s", want)
		}
	}
	if strings.Contains(text, "of the controller") {
		t.Error("it has the controller's secret")
	}
	// Nothing secret stands where it may be read, and nothing at all may be read by others.
	filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			t.Fatal(err)
		}
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if path != dir && info.Mode().Type() != fs.ModeSocket && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v", path, info.Mode())
		}
		if b, _ := os.ReadFile(path); strings.Contains(string(b), "hush") {
			t.Errorf("%s holds a secret", path)
		}
		return nil
	})
	if t.Failed() {
		t.Log(text)
	}
}

func TestLongSocketPath(t *testing.T) {
	leak.Check(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	d := opened(t, dir, "serve")
	i := started(t, d, sandbox.Spec{ID: "x"})
	if len(i.Label.Socket) > maxSocket {
		t.Errorf("the socket is %s", i.Label.Socket)
	}
	said(t, i)
	i.Process.Signal(syscall.SIGKILL)
	i.Wait(t.Context())
	again := started(t, d, sandbox.Spec{ID: "x"})
	if again.Label.Socket != i.Label.Socket {
		t.Errorf("the socket moved from %s to %s", i.Label.Socket, again.Label.Socket)
	}
	said(t, again)
	if err := again.Stop(t.Context(), time.Minute); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(i.Label.Socket)); !os.IsNotExist(err) {
		t.Errorf("the socket's directory is left: %v", err)
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("left among the temporary files: %v", left)
	}
}

// TestCutRemove is a removal that was killed in the middle.
func TestCutRemove(t *testing.T) {
	dir := t.TempDir()
	gone := filepath.Join(dir, "local", ".gone-1")
	if err := os.MkdirAll(filepath.Join(gone, "workspace", "deep"), 0o700); err != nil {
		t.Fatal(err)
	}
	opened(t, dir, "serve")
	wantEmpty(t, dir)
}

// TestStartIsNotExited looks at a sandbox while it is being started.
func TestStartIsNotExited(t *testing.T) {
	leak.Check(t)
	d := opened(t, t.TempDir(), "serve")
	i := started(t, d, sandbox.Spec{ID: "x"})
	i.Process.Signal(syscall.SIGKILL)
	i.Wait(t.Context())
	for _, locked := range []bool{false, true} {
		if locked {
			unlock, err := d.homes.LockHome(t.Context(), i.Home, false)
			if err != nil {
				t.Fatal(err)
			}
			defer unlock()
		}
		if l, err := d.List(t.Context(), ""); err != nil || len(l) != 1 || l[0].Exited == locked {
			t.Errorf("locked %v, it is listed as %+v, %v", locked, l, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := d.Start(ctx, sandbox.Spec{ID: "x"})
	wantCode(t, "Start of what another starts", err, sandbox.Canceled)
}

func TestOpen(t *testing.T) {
	for _, o := range []backends.Options{
		{}, {StateDir: "/dev/null/x"},
		{StateDir: t.TempDir(), Values: map[string]any{"sandbox": "typing error"}},
	} {
		_, err := Open(o)
		wantCode(t, "Open", err, sandbox.Invalid)
	}
	d, err := Open(backends.Options{StateDir: t.TempDir(), Values: map[string]any{"sandboxd": "/x"}})
	if err != nil || d.(*Driver).config.Sandboxd != "/x" {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestKeyComesLast has a controller give up while the server takes its time to read the environment.
func TestKeyComesLast(t *testing.T) {
	s := &spawned{}
	var theirs [3]*os.File
	for i, ours := range []**os.File{&s.key, &s.env, &s.ready} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if theirs[i], *ours = r, w; i == 2 {
			theirs[i], *ours = w, r
		}
		defer theirs[i].Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := s.await(ctx, "the key", []string{"A=" + strings.Repeat("x", 1<<20)})
	wantCode(t, "await", err, sandbox.Canceled)
	s.close()
	if key, err := io.ReadAll(theirs[0]); err != nil || len(key) > 0 {
		t.Errorf("a server without all of its environment has the key %q, %v", key, err)
	}
}

// TestRemoveThatFailsCanBeRepeated has something outside the home that cannot be removed at first: as long as it is
// there, the sandbox is, which alone knows of it.
func TestRemoveThatFailsCanBeRepeated(t *testing.T) {
	leak.Check(t)
	d := opened(t, t.TempDir(), "serve")
	i := started(t, d, sandbox.Spec{ID: "x"})
	dir := filepath.Join(t.TempDir(), "sandtree-x")
	other := filepath.Join(dir, "other")
	if err := os.MkdirAll(other, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := home{i.Home}.read()
	if err != nil {
		t.Fatal(err)
	}
	if l.Socket = filepath.Join(dir, "sock"); i.Home.Write(l) != nil {
		t.Fatal("the label cannot be written")
	}
	if err := d.Remove(t.Context(), "x", backends.AnyEpoch, 0); err == nil {
		t.Error("removed in spite of what is left")
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	if err := d.Remove(t.Context(), "x", backends.AnyEpoch, 0); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the directory of the socket is left")
	}
}

// TestRemoveEndsNotedSessions has a process without the mark in a session that a server, now dead, has noted, and no
// control group, as an ordinary user has none.
func TestRemoveEndsNotedSessions(t *testing.T) {
	leak.Check(t)
	d := opened(t, t.TempDir(), "serve")
	i := started(t, d, sandbox.Spec{ID: "x"})
	cmd := exec.Command("sleep", "1000")
	cmd.Env, cmd.SysProcAttr = []string{}, &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	r, _, _, err := reap.OpenRecord(filepath.Join(home{i.Home}.stateDir(), reap.RecordFile))
	if err != nil {
		t.Fatal(err)
	}
	p, err := reap.Stat(cmd.Process.Pid)
	if err := errors.Join(err, r.Add(p), r.Close()); err != nil {
		t.Fatal(err)
	}
	l, err := home{i.Home}.read()
	if err != nil {
		t.Fatal(err)
	}
	group := l.Cgroup
	if l.Cgroup = ""; i.Home.Write(l) != nil {
		t.Fatal("the label cannot be written")
	}
	if err := d.Remove(t.Context(), "x", backends.AnyEpoch, 0); err != nil {
		t.Error(err)
	}
	if group != "" {
		if err := cgroup.Remove(group); err != nil {
			t.Error(err)
		}
	}
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("it goes on")
		cmd.Process.Kill()
		<-ended
	}
}

func TestAStateDirectoryThatIsNotOursIsDenied(t *testing.T) {
	for dir, want := range map[string]sandbox.Code{
		"/sys/none":      sandbox.Denied, // not even root makes directories there
		"/dev/null/none": sandbox.Invalid,
	} {
		_, err := New(Config{StateDir: dir})
		if got := sandbox.CodeOf(err); got != want {
			t.Errorf("%s: %q (%v), want %q", dir, got, err, want)
		}
	}
}
