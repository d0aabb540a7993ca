package held

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/testing/leak"
)

// begun starts a sleeper and takes hold of it, as its parent does.
func begun(t *testing.T, record string) *Process {
	t.Helper()
	fd := -1
	cmd := exec.Command("sleep", "100041")
	cmd.SysProcAttr = &syscall.SysProcAttr{PidFD: &fd}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := Hold(cmd.Process.Pid, fd, record)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Release(); err != nil {
		t.Fatal(err)
	}
	return p
}

func watched(t *testing.T, p *Process) *Process {
	var wg sync.WaitGroup
	wg.Go(p.Watch)
	t.Cleanup(func() { p.Close(); wg.Wait() })
	return p
}

func TestEnd(t *testing.T) {
	leak.Check(t)
	record := filepath.Join(t.TempDir(), "exit.json")
	p := begun(t, record)
	p.Starved = func() bool { return true }
	watched(t, p)
	other, err := Open(p.Identity, record)
	if err != nil {
		t.Fatal(err)
	}
	other.Starved = p.Starved // both are in the parent here, and either may be the one who notes the end
	watched(t, other)
	if !p.Alive() || !Alive(p.Identity) {
		t.Error("it lives, and counts as dead")
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	want := Exit{Code: -1, Signal: 9, Memory: true, Known: true}
	if exit, ok := p.Ended(); !ok || exit != want {
		t.Errorf("it ended with %+v, %v", exit, ok)
	}
	if _, ok := other.Ended(); !ok {
		t.Error("the other does not see it")
	}
	if got := ReadExit(record, p.Identity); got != want {
		t.Errorf("the note says %+v", got)
	}
	stranger := p.Identity
	stranger.Start++
	if got := ReadExit(record, stranger); got.Known {
		t.Errorf("of another process the note says %+v", got)
	}
	if err := p.Signal(syscall.SIGKILL); !errors.Is(err, ErrEnded) {
		t.Errorf("Signal after the end: %v", err)
	}
	if _, err := Open(p.Identity, record); !errors.Is(err, ErrEnded) || Alive(p.Identity) {
		t.Errorf("Open after the end: %v", err)
	}
}

func TestLetGo(t *testing.T) {
	leak.Check(t)
	record := filepath.Join(t.TempDir(), "exit.json")
	p := begun(t, record)
	var wg sync.WaitGroup
	wg.Go(p.Watch)
	p.Close()
	wg.Wait()
	if _, ok := p.Ended(); ok {
		t.Error("what was let go of counts as ended")
	}
	// It goes on, and somebody else may take hold of it.
	again, err := Open(p.Identity, record)
	if err != nil {
		t.Fatal(err)
	}
	watched(t, again)
	if err := again.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	again.Ended()
}

func TestLock(t *testing.T) {
	leak.Check(t)
	var wg sync.WaitGroup
	defer wg.Wait()
	k := Locker{Begin: func(f func()) bool { wg.Go(f); return true }}
	dir := filepath.Join(t.TempDir(), "home")
	if _, err := k.Lock(t.Context(), dir, false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a directory that is not there: %v", err)
	}
	unlock, err := k.Lock(t.Context(), dir, true)
	if err != nil || !Locked(dir) {
		t.Fatalf("%v, %v", err, Locked(dir))
	}
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := k.Lock(short, dir, true); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("of one that is locked: %v", err)
	}
	got := make(chan func(), 1)
	wg.Go(func() {
		unlock, err := k.Lock(t.Context(), dir, true)
		if err != nil {
			t.Error(err)
		}
		got <- unlock
	})
	// Whoever waits while the directory is removed gets the lock of the new one.
	if err := os.Rename(dir, dir+"-gone"); err != nil {
		t.Fatal(err)
	}
	unlock()
	(<-got)()
	if _, err := os.Stat(filepath.Join(dir, lockFile)); err != nil {
		t.Error(err)
	}
}

// A directory whose maker died before it made the lock is cleared away by whoever looks; one with something in it is somebody's.
func TestLockCutOff(t *testing.T) {
	k := Locker{Begin: func(func()) bool { return false }}
	empty, used := filepath.Join(t.TempDir(), "empty"), t.TempDir()
	if err := errors.Join(os.Mkdir(empty, 0o700), os.WriteFile(filepath.Join(used, "file"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{empty, used} {
		if _, ok := k.TryLock(dir); ok {
			t.Errorf("%s is locked, and has no lock", dir)
		}
	}
	if _, err := os.Stat(empty); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the empty one: %v", err)
	}
	if _, err := os.Stat(filepath.Join(used, "file")); err != nil {
		t.Error(err)
	}
}

// What a loss of power may leave of a file is not taken for none, nor for one that says nothing.
func TestEmptyJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "label.json")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var v struct{}
	if err := ReadJSON(file, &v); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty file: %v", err)
	}
}
