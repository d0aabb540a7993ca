package stage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Outside of a jail nothing is done: what Enter does there would be done to the machine.
func TestEnterOutside(t *testing.T) {
	if _, err := Enter(&Spec{}); err == nil || !strings.Contains(err.Error(), "first process") {
		t.Fatalf("Enter: %v", err)
	}
}

func TestCheckThread(t *testing.T) {
	const none = "0000000000000000"
	status := "Name:\tx\nCapInh:\t" + none + "\nCapPrm:\t" + none + "\nCapEff:\t" + none + "\nCapBnd:\t000001ffffffffff\nCapAmb:\t" + none +
		"\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n"
	if err := checkThread(status, true); err != nil {
		t.Error(err)
	}
	for name, wrong := range map[string]string{
		"a capability":            strings.Replace(status, "CapEff:\t"+none, "CapEff:\t0000000000200000", 1),
		"one that may be had":     strings.Replace(status, "CapPrm:\t"+none, "CapPrm:\t0000000000200000", 1),
		"one to inherit":          strings.Replace(status, "CapInh:\t"+none, "CapInh:\t0000000000200000", 1),
		"new privileges":          strings.Replace(status, "NoNewPrivs:\t1", "NoNewPrivs:\t0", 1),
		"no filter":               strings.Replace(status, "Seccomp:\t2", "Seccomp:\t0", 1),
		"a kernel that is silent": "",
	} {
		if checkThread(wrong, true) == nil {
			t.Errorf("%s passes", name)
		}
	}
	if err := checkThread(strings.Replace(status, "Seccomp:\t2", "Seccomp:\t0", 1), false); err != nil {
		t.Errorf("without a filter asked for: %v", err)
	}
}

// This process has what a jail's must not have.
func TestCheckFails(t *testing.T) {
	if err := check(true); err == nil {
		t.Error("this process passes for one without privileges")
	}
}

func TestLoadFilterRefuses(t *testing.T) {
	for _, n := range []int{1, 7, 12, 8*4096 + 8} {
		if err := loadFilter(make([]byte, n), 0); err == nil {
			t.Fatalf("a filter of %d bytes is loaded", n)
		}
	}
}

// Paths stay within a directory, wherever its links lead.
func TestDir(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	for name, target := range map[string]string{"absolute": outside, "up": "../../../../../../../.." + outside, "proc": "/proc/self/root", "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	d := dir(fd)
	for _, p := range []string{"absolute/new", "up/new", "proc/new", "loop/new", "/../../new", "plain/deep/new", "new"} {
		for _, file := range []bool{false, true} {
			if at, err := d.point(p, file); err == nil {
				unix.Close(at)
			}
		}
		if err := d.write(File{Path: p + "-file", Content: []byte("x")}); err != nil {
			t.Logf("%s: %v", p, err)
		}
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("made outside: %v", left)
	}
	for _, p := range []string{"plain/deep/new", "new", "new-file", "plain/deep/new-file"} {
		if _, err := os.Lstat(filepath.Join(root, p)); err != nil {
			t.Errorf("not made inside: %v", err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(root, "new-file")); err != nil || string(b) != "x" {
		t.Errorf("new-file has %q, %v", b, err)
	}
}
