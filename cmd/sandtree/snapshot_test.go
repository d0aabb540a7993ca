package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSnapshots(t *testing.T) {
	u := newUser(t)
	u.run("run", "--keep", "--id", "web", "echo one > f").want(t, 0)
	defer u.run("rm", "web", "try", "web2", "here")
	u.run("snapshot", "web", "--name", "before").want(t, 0, "before\n").wantErr(t, "by copy")
	u.run("snapshot", "web", "--name", "before").want(t, 4).wantErr(t, "before")
	u.run("snapshot", "nobody").want(t, 3).wantErr(t, "sandtree ls")
	u.run("run", "--keep", "--id", "web", "echo two > f").want(t, 0)
	u.run("snapshots").want(t, 0, "before", "web", "local", "by copy")
	made := strings.Trim(u.run("snapshot", "web", "--name", "after", "--json").want(t, 0).out, "\n")
	if o := objects(t, made)[0]; o["name"] != "after" || o["of"] != "web" || o["size"] != 4.0 {
		t.Errorf("as JSON: %s", made)
	}

	u.run("fork", "before", "--id", "try").want(t, 0, "try\n")
	u.run("run", "--id", "try", "cat f; echo tried > f").want(t, 0, "one")
	u.run("fork", "web", "--id", "web2").want(t, 0, "web2\n")
	u.run("run", "--id", "web2", "cat f").want(t, 0, "two")
	u.run("fork", "nothing").want(t, 3).wantErr(t, "nothing")
	u.run("restore", "web", "before").want(t, 0, "web\n")
	u.run("run", "--id", "web", "cat f").want(t, 0, "one")
	u.run("restore", "web", "nothing").want(t, 3).wantErr(t, "nothing")
	u.run("restore", "web").want(t, 2)
	u.run("events", "web").want(t, 0, `"audit":"snapshot"`, `"audit":"restore"`)

	u.run("export", "after", "after.tar.zst").want(t, 0).wantErr(t, "after.tar.zst")
	archive := u.run("export", "after", "-").want(t, 0).out
	if b, err := os.ReadFile(filepath.Join(u.home, "after.tar.zst")); err != nil || string(b) != archive {
		t.Errorf("the file has %d bytes, and stdout %d, %v", len(b), len(archive), err)
	}
	u.run("import", "after.tar.zst").want(t, 4).wantErr(t, "after")
	u.run("import", "after.tar.zst", "--name", "moved").want(t, 0, "moved\n")
	u.runWith(archive, "import", "-", "--name", "small", "--most-bytes", "3").want(t, 6)
	u.runWith("no archive", "import", "-").want(t, 2).wantErr(t, "archive")
	u.run("import", "missing").want(t, 3)
	u.run("snapshots", "--rm", "before", "--rm", "after").want(t, 0, "before\nafter\n")
	u.run("snapshots", "--rm", "before").want(t, 3)
	u.run("fork", "moved", "--id", "here").want(t, 0, "here\n")
	u.run("run", "--id", "here", "cat f").want(t, 0, "two")
	u.run("snapshots", "--rm", "moved").want(t, 0)
	if out := u.run("snapshots", "--json").want(t, 0).out; out != "[]\n" {
		t.Errorf("of none: %q", out)
	}
}
