package docker

import (
	"os"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
)

// TestNoFileGivesItsUser asks for files that give their user to whoever runs them: in a directory of the host they would do
// so there.
func TestNoFileGivesItsUser(t *testing.T) {
	need.Tool(t, "python3")
	_, b := opened(t, testConfig(t))
	s, _ := started(t, b, sandbox.Spec{ID: "setuid"})
	got, _ := run(t, s, `touch f && mkdir d && python3 - <<'E'
import os, stat
f, here = os.open("f", os.O_RDONLY), os.open(".", os.O_RDONLY)
for name, do in {
    "chmod": lambda: os.chmod("f", 0o4755), "fchmod": lambda: os.fchmod(f, 0o2755), "chmod of a directory": lambda: os.chmod("d", 0o2755),
    "fchmodat": lambda: os.chmod("f", 0o6755, dir_fd=here),
    "open": lambda: os.open("g", os.O_CREAT | os.O_WRONLY, 0o4755), "unnamed": lambda: os.open(".", os.O_TMPFILE | os.O_WRONLY, 0o4755),
    "mkdir": lambda: os.mkdir("e", 0o2755), "mknod": lambda: os.mknod("h", stat.S_IFREG | 0o4755)}.items():
    try:
        do()
        print(name, "granted")
    except PermissionError:
        print(name, "refused")
os.chmod("f", 0o1755)
os.close(os.open("i", os.O_CREAT | os.O_EXCL, 0o777))
os.mkdir("j", 0o777)
E
find . -perm /6000; echo $(ls)`)
	if strings.Contains(got, "granted") || strings.Count(got, "refused") != 8 || !strings.HasSuffix(got, "refused\nd f i j") {
		t.Errorf("the kernel answers\n%s", got)
	}
}

// TestNotRootUnlessAsked has workspaces of root's.
func TestNotRootUnlessAsked(t *testing.T) {
	need.Root(t)
	c := testConfig(t)
	_, b := opened(t, c)
	dir := t.TempDir()
	if s, err := b.Start(t.Context(), sandbox.Spec{ID: "root", Workspace: dir}); sandbox.CodeOf(err) != sandbox.Invalid || !strings.Contains(err.Error(), "docker.user") {
		t.Errorf("started as %v, %v", s, err)
	}
	if l := must(b.List(t.Context(), "")); len(l) != 0 {
		t.Errorf("refused, and there: %+v", l)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	s, _ := started(t, b, sandbox.Spec{ID: "anybody", Workspace: dir})
	prints(t, s, "id -u; echo x >file", "1000")
	c.User = "0"
	_, b = opened(t, c)
	s, _ = started(t, b, sandbox.Spec{ID: "asked", Workspace: t.TempDir()})
	prints(t, s, "id -u; echo x >file", "0")
}
