package jail_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// ordinaryID is the number of a user of the host who has no rights, for what only such users do.
const ordinaryID = 54321

// ordinaryDir is a directory of an ordinary user's, with programs that it can run.
func ordinaryDir(t *testing.T, programs ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "st") // that of a test is its user's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, p := range programs {
		b, err := os.ReadFile(p)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(p)), b, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, ordinaryID, ordinaryID); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestKilledFork kills controllers that start a sandbox with copies of the files of a snapshot, which is what ordinary users
// have: while they copy, and while the copies get their places. The next start has all of the files, or none if it asks for none.
func TestKilledFork(t *testing.T) {
	need.Jail(t)
	need.Tool(t, "go")
	built := filepath.Join(t.TempDir(), "forks")
	if out, err := exec.Command("go", "build", "-o", built, "./testdata/forks").CombinedOutput(); err != nil {
		t.Fatalf("build it: %v\n%s", err, out)
	}
	sandboxd := sandboxdtest.Binary(t)
	dir := ordinaryDir(t, built, sandboxd)
	state := filepath.Join(dir, "state")
	begin := func(what string) (*exec.Cmd, *strings.Builder) {
		t.Helper()
		said := &strings.Builder{}
		cmd := exec.Command(filepath.Join(dir, "forks"), state, filepath.Join(dir, filepath.Base(sandboxd)), what)
		cmd.Stdout, cmd.Stderr, cmd.Dir = said, said, dir
		if os.Geteuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: ordinaryID, Gid: ordinaryID}}
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, said
	}
	does := func(what, want string) {
		t.Helper()
		cmd, said := begin(what)
		if err := cmd.Wait(); err != nil || strings.TrimSpace(said.String()) != want {
			t.Fatalf("%s: %v, says %.2000s", what, err, said)
		}
	}
	does("make", "1000")
	// killed kills one while what it copies is at a path, and says whether it was not too late, as on a machine that does much else.
	killed := func(copying string) bool {
		t.Helper()
		cmd, said := begin("fork")
		over := make(chan error, 1)
		go func() { over <- cmd.Wait() }()
		for late := time.Now().Add(time.Minute); ; {
			if _, err := os.Lstat(copying); err == nil || time.Now().After(late) {
				break
			}
			select {
			case err := <-over:
				if err != nil {
					t.Fatalf("%v, says %.2000s", err, said)
				}
				return false
			case <-time.After(100 * time.Microsecond):
			}
		}
		_ = cmd.Process.Kill()
		err := <-over
		if _, there := os.Lstat(filepath.Join(state, "jail/fork/label.json")); errors.Is(there, fs.ErrNotExist) {
			return err != nil
		}
		does("remove", "")
		does("make", "1000")
		return false
	}
	for n, next := range []struct{ what, want string }{{"fork", "1000 1000 1"}, {"bare", "0 0 0"}} {
		copying := filepath.Join(state, "jail/fork/.restoring", []string{"home", "workspace/f1"}[n%2])
		for tries := 1; !killed(copying); tries++ {
			if tries == 20 {
				t.Fatalf("none of %d was killed while it copied to %s", tries, copying)
			}
		}
		does(next.what, next.want)
	}
	// As it is where it is killed while the copies get their places.
	half := filepath.Join(state, "jail/fork")
	for _, next := range []struct{ what, want string }{{"bare", "0 0 0"}, {"fork", "1000 1000 1"}} {
		for _, part := range []string{"home/half", ".restored/workspace/half", ".restoring/home"} {
			if err := os.MkdirAll(filepath.Join(half, part), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if os.Geteuid() == 0 {
			if out, err := exec.Command("chown", "-R", "54321:54321", half).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		does(next.what, next.want)
	}
	does("remove", "")
	left, err := filepath.Glob(filepath.Join(state, "jail/[^.]*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}
