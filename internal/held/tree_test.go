package held

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/testing/leak"
)

func TestRemoveTree(t *testing.T) {
	leak.Check(t)
	dir, outside := filepath.Join(t.TempDir(), "tree"), t.TempDir()
	kept := filepath.Join(outside, "kept")
	if err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "a/b/c"), 0o700), os.MkdirAll(filepath.Join(dir, "a/empty"), 0o700), os.WriteFile(kept, nil, 0o600),
		os.Symlink(outside, filepath.Join(dir, "a/link")), os.Symlink(outside, filepath.Join(dir, "a/b/link")), os.Symlink(kept, filepath.Join(dir, "link")),
		os.Link(kept, filepath.Join(dir, "a/b/c/hard")), syscall.Mkfifo(filepath.Join(dir, "a/b/fifo"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	for i := range 3 * batch {
		if err := os.WriteFile(filepath.Join(dir, "a/b", fmt.Sprint(i)), nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"a/b/c", "a/b", "a"} {
		if err := os.Chmod(filepath.Join(dir, d), 0); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // what is not there is removed
		if err := RemoveTree(dir); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("it is there: %v", err)
		}
	}
	if info, err := os.Stat(kept); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("what is outside: %v, %v", info, err)
	}
	// A link is not a tree.
	if err := errors.Join(os.Symlink(outside, dir), RemoveTree(dir)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("removed through a link: %v", err)
	}
}

// inside is set in a process that a test has started to go on in.
const inside = "HELD_TEST_INSIDE"

// goOn runs the test in another process, in memory, and says whether this is the one where it has to go on.
func goOn(t *testing.T, as *syscall.SysProcAttr) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env, cmd.Dir, cmd.SysProcAttr = append(os.Environ(), inside+"=1"), "/", as
	if _, err := os.Stat("/dev/shm"); err == nil {
		cmd.Env = append(cmd.Env, "TMPDIR=/dev/shm")
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) {
		t.Skip(err)
	}
	switch {
	case strings.Contains(string(out), "--- SKIP: "+t.Name()):
		t.Skipf("%s", out)
	case err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Errorf("as %+v: %v: %s", as, err, out)
	}
	return false
}

// A tree that is deeper than the process that removes it has descriptors; if this is root's, nobody's too.
func TestRemoveDeepTree(t *testing.T) {
	if !goOn(t, nil) {
		if os.Getuid() == 0 {
			goOn(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}})
		}
		return
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 32, Max: 32}); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "tree")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for i, mode := range []uint32{0o700, 0o500, 0} {
		dig(t, dir, fmt.Sprint(i), 5000, mode)
	}
	if err := RemoveTree(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is there: %v", err)
	}
}

// dig makes so many directories, one in the other, each with a file and a directory besides.
func dig(t *testing.T, dir, name string, depth int, mode uint32) {
	t.Helper()
	at, err := unix.Open(dir, unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range depth {
		err := errors.Join(unix.Mkdirat(at, name, 0o700), unix.Mkdirat(at, name+"empty", mode), unix.Mknodat(at, name+"file", unix.S_IFREG, 0))
		next, openErr := unix.Openat(at, name, unix.O_DIRECTORY, 0)
		if err = errors.Join(err, openErr, unix.Fchmod(at, mode)); err != nil {
			t.Fatal(err)
		}
		unix.Close(at)
		at = next
	}
	unix.Close(at)
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

// Whoever writes a last file does not keep a directory, and whoever does not end does not keep the one who removes it.
func TestRemoveBusyTree(t *testing.T) {
	leak.Check(t)
	dir := filepath.Join(t.TempDir(), "tree")
	deep := filepath.Join(dir, "a/b")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(deep, unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // wherever the directory is moved to
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				_ = unix.Mkdirat(fd, fmt.Sprint(i%100), 0o700)
				_ = unix.Mknodat(fd, fmt.Sprint(i%100, "/file"), unix.S_IFREG|0o600, 0)
			}
		}
	})
	names := int64(20_000)
	if err := removeTree(unix.AT_FDCWD, dir, maxInner, &names); err != nil && !errors.Is(err, errBusy) {
		t.Error(err)
	}
	close(stop)
	wg.Wait()
	if err := RemoveTree(dir); err != nil {
		t.Error(err)
	}
}

// What is mounted is left alone.
func TestRemoveTreeLeavesMounts(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root mounts")
	}
	if !goOn(t, &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}) { // so that nothing stays mounted
		return
	}
	dir, outside := filepath.Join(t.TempDir(), "tree"), t.TempDir()
	kept, mount := filepath.Join(outside, "kept"), filepath.Join(dir, "a/mount")
	if err := errors.Join(os.MkdirAll(mount, 0o700), os.WriteFile(filepath.Join(dir, "a/file"), nil, 0o600), os.WriteFile(kept, nil, 0o600),
		unix.Mount(outside, mount, "", unix.MS_BIND, "")); err != nil {
		t.Fatal(err)
	}
	if err := RemoveTree(dir); !errors.Is(err, unix.EBUSY) {
		t.Errorf("of a tree with a mount: %v", err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("removed through a mount: %v", err)
	}
	if err := errors.Join(unix.Unmount(mount, 0), RemoveTree(dir)); err != nil {
		t.Error(err)
	}
}

// What cannot be moved, as what an overlay shows of below, is emptied where it is.
func TestRemoveTreeThatCannotBeMoved(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root mounts")
	}
	if !goOn(t, &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}) {
		return
	}
	base := t.TempDir()
	lower, upper, work, merged := filepath.Join(base, "lower"), filepath.Join(base, "upper"), filepath.Join(base, "work"), filepath.Join(base, "merged")
	for _, d := range []string{lower + "/a/b/c/d/e", upper, work, merged} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	kept := lower + "/a/b/c/d/file"
	if err := os.WriteFile(kept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("overlay", merged, "overlay", 0, "redirect_dir=off,lowerdir="+lower+",upperdir="+upper+",workdir="+work); err != nil {
		t.Skipf("overlay: %v", err)
	}
	dig(t, merged+"/a/b/c", "x", 100, 0)
	names := int64(maxNames)
	if err := removeTree(unix.AT_FDCWD, merged+"/a", 1, &names); !errors.Is(err, errNested) || names < maxNames-1000 {
		t.Errorf("without going deeper: %v, after %d names", err, maxNames-names)
	}
	if err := RemoveTree(merged + "/a"); err != nil {
		t.Error(err)
	}
	_, gone := os.Lstat(merged + "/a")
	if _, err := os.Stat(kept); err != nil || !errors.Is(gone, fs.ErrNotExist) {
		t.Errorf("below: %v; above: %v", err, gone)
	}
	if err := unix.Unmount(merged, 0); err != nil {
		t.Error(err)
	}
}
