package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
)

// image makes the accounts of a small image in a directory of its own.
func image(t *testing.T) accounts {
	t.Helper()
	etc := filepath.Join(t.TempDir(), "etc")
	for name, content := range map[string]string{
		"passwd":         "root:x:0:0:root:/root:/bin/bash\nalice:x:1001:1001::/home/alice:/bin/sh", // no newline at its end
		"group":          "root:x:0:\nsudo:x:27:alice\nusers:x:100:\n",
		"shadow":         "root:*:1:0:99999:7:::\n",
		"sudoers":        "root ALL=(ALL) ALL\n",
		"skel/.bashrc":   "# from skel\n",
		"unrelated/file": "",
	} {
		path := filepath.Join(etc, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return accounts{etc}
}

func (a accounts) read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(a.dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAUserIsMade(t *testing.T) {
	need.Root(t) // to give away the home
	a := image(t)
	for range 2 { // the second time it is there
		u, err := a.ensure("openhands", 1000)
		if err != nil || u.uid != 1000 || u.gid != 0 || u.home != "/home/openhands" || !slices.Equal(u.groups, []int{27}) {
			t.Fatalf("%+v, %v", u, err)
		}
	}
	for file, line := range map[string]string{
		"passwd":                    "\nopenhands:x:1000:0::/home/openhands:/bin/bash\n",
		"group":                     "\nsudo:x:27:alice,openhands\n",
		"shadow":                    "\nopenhands:!::0:99999:7:::\n",
		"sudoers":                   "\n%sudo ALL=(ALL) NOPASSWD:ALL\n",
		"../home/openhands/.bashrc": "# from skel\n",
	} {
		if got := a.read(t, file); strings.Count(got, line) != 1 {
			t.Errorf("%s has not %q once: %q", file, line, got)
		}
	}
}

func TestAUserThatExistsKeepsItsNumber(t *testing.T) {
	a := image(t)
	before := a.read(t, "passwd")
	u, err := a.ensure("alice", 1000)
	if err != nil || u.uid != 1001 || u.home != "/home/alice" {
		t.Errorf("%+v, %v", u, err)
	}
	if a.read(t, "passwd") != before || strings.Contains(a.read(t, "sudoers"), "%sudo") {
		t.Error("something was changed")
	}
}

func TestUsersThatCannotBe(t *testing.T) {
	a := image(t)
	for _, c := range []struct {
		name string
		uid  int
		code sandbox.Code
	}{
		{"bob", 1001, sandbox.Conflict}, {"bob", 0, sandbox.Invalid}, {"b:0:0", 1000, sandbox.Invalid},
		{"b\nroot2:x:0:0", 1000, sandbox.Invalid}, {"-b", 1000, sandbox.Invalid},
	} {
		before := a.read(t, "passwd")
		if _, err := a.ensure(c.name, c.uid); sandbox.CodeOf(err) != c.code {
			t.Errorf("%q %d: %v, want %s", c.name, c.uid, err, c.code)
		}
		if a.read(t, "passwd") != before {
			t.Errorf("%q: something was changed", c.name)
		}
	}
}

func TestGroups(t *testing.T) {
	a := image(t)
	for name, want := range map[string]int{"users": 100, "7": 7} {
		if n, err := a.group(name); err != nil || n != want {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	if _, err := a.group("none"); err == nil {
		t.Error("a group that is not there")
	}
}

func TestSpread(t *testing.T) {
	got := spread(strings.Fields("39222 --working-dir /w --plugins a b c --username u --plugins d"))
	want := strings.Fields("39222 --working-dir /w --plugins=a --plugins=b --plugins=c --username u --plugins=d")
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestOverlay(t *testing.T) {
	got := overlay([]string{"A=1", "B=2"}, []string{"A=3", "C=4"})
	if !slices.Equal(got, []string{"B=2", "A=3", "C=4"}) {
		t.Errorf("%q", got)
	}
}

func TestOpenHandsFormNeverEndsForWantOfRequests(t *testing.T) {
	f, err := parse([]string{"3000"}, nil)
	if err != nil || !f.keep || f.listen != "tcp:0.0.0.0:3000" {
		t.Errorf("%+v, %v", f, err)
	}
	f, err = parse([]string{"3000", "--orphan-after", "1h"}, nil)
	if err != nil || f.keep {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestTheWorkspaceIsGivenAndNothingElse(t *testing.T) {
	need.Root(t) // to give files away
	dir, other := filepath.Join(t.TempDir(), "work"), t.TempDir()
	for _, path := range []string{filepath.Join(dir, "deep", "er"), filepath.Join(other, "file")} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(other, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	giveWorkspace(dir, user{name: "u", uid: 4711}, "", slog.New(slog.DiscardHandler))
	for path, want := range map[string]uint32{dir: 4711, dir + "/deep/er": 4711, dir + "/link": 4711, other: 0, other + "/file": 0} {
		info, err := os.Lstat(path)
		if err != nil || info.Sys().(*syscall.Stat_t).Uid != want {
			t.Errorf("%s: %v, %+v; want the owner %d", path, err, info, want)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o760 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
