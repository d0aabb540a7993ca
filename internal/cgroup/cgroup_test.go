package cgroup

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/testing/need"
)

func testParent(t testing.TB) string {
	t.Helper()
	need.Cgroup(t)
	dir, err := Parent("sandtree-cgroup-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func members(t testing.TB, dir string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(b))
}

func sleeper(attr *syscall.SysProcAttr) (*exec.Cmd, func() (int, error)) {
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = attr
	return cmd, func() (int, error) {
		if err := cmd.Start(); err != nil {
			again := exec.Command("sleep", "1000")
			again.SysProcAttr = attr
			*cmd = *again
			return 0, err
		}
		return cmd.Process.Pid, nil
	}
}

func TestStart(t *testing.T) {
	dir := filepath.Join(testParent(t), "x")
	if err := Make(dir, 2); err != nil {
		t.Fatal(err)
	}
	var want []string
	for range 3 { // the third finds the group full, and is put into it all the same
		attr := &syscall.SysProcAttr{}
		cmd, start := sleeper(attr)
		if err := Start(dir, attr, start); err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait()
		defer cmd.Process.Kill()
		want = append(want, strconv.Itoa(cmd.Process.Pid))
	}
	got := members(t, dir)
	slices.Sort(want) // the kernel sorts by number, which wraps
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("in the group are %v, want %v", got, want)
	}
	// What is started next is none of it, nor is any thread of this process.
	other := exec.Command("true")
	if err := other.Run(); err != nil {
		t.Error(err)
	}
}

func TestStartOutside(t *testing.T) {
	attr := &syscall.SysProcAttr{}
	cmd, start := sleeper(attr)
	if err := Start("", attr, start); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	_, start = sleeper(attr)
	if err := Start(filepath.Join(t.TempDir(), "missing"), attr, start); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in a group that is not there: %v", err)
	}
}

func TestRemove(t *testing.T) {
	dir := filepath.Join(testParent(t), "x")
	if err := errors.Join(Make(dir, 0), os.Mkdir(filepath.Join(dir, "below"), 0o755)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Remove(dir); err != nil {
			t.Error(err)
		}
	}
}

// BenchmarkStart starts a process in a group, born there or moved there.
func BenchmarkStart(b *testing.B) {
	dir := filepath.Join(testParent(b), "x")
	if err := Make(dir, 0); err != nil {
		b.Fatal(err)
	}
	for _, how := range []string{"born", "moved"} {
		b.Run(how, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				time.Sleep(100 * time.Millisecond) // in a row, the kernel spares itself the wait that one move costs
				b.StartTimer()
				attr := &syscall.SysProcAttr{}
				cmd, start := sleeper(attr)
				var err error
				if how == "born" {
					err = Start(dir, attr, start)
				} else if _, err = start(); err == nil {
					err = write(dir, "cgroup.procs", strconv.Itoa(cmd.Process.Pid))
				}
				if err != nil {
					b.Fatal(err)
				}
				cmd.Process.Kill()
				cmd.Wait()
			}
		})
	}
}
