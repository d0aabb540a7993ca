package main

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestCopy(t *testing.T) {
	u := newUser(t)
	u.run("run", "--keep", "--id", "web", "mkdir -p d/sub; echo in > d/sub/f; chmod 755 d/sub/f; ln -s sub/f d/link; echo top > t").want(t, 0)
	defer u.run("rm", "web")
	read := func(path, want string) {
		t.Helper()
		if b, err := os.ReadFile(filepath.Join(u.home, path)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", path, b, err)
		}
	}
	u.file("here.txt", "from here\n")

	u.run("cp", "web:t", "got").want(t, 0)
	read("got", "top\n")
	u.run("cp", "web:d", "out").want(t, 0) // under that name
	read("out/sub/f", "in\n")
	read("out/link", "in\n")
	if stat, err := os.Stat(filepath.Join(u.home, "out/sub/f")); err != nil || stat.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", stat, err)
	}
	u.run("cp", "web:d/sub", "out").want(t, 0) // into it, since it is there
	read("out/sub/f", "in\n")
	u.run("cp", "web:t", "out/").want(t, 0)
	read("out/t", "top\n")
	u.run("cp", "web:t", "-").want(t, 0, "top\n")

	u.run("cp", "here.txt", "web:d/").want(t, 0)
	u.run("cp", "here.txt", "web:d/sub").want(t, 0)
	u.run("cp", "here.txt", "web:new/name").want(t, 0)
	u.run("cp", "out", "web:back").want(t, 0)
	u.run("cp", "out/.", "web:d").want(t, 0)
	u.runWith("typed", "cp", "-", "web:typed").want(t, 0)
	u.run("run", "--id", "web", "cat d/here.txt d/sub/here.txt new/name; cat back/sub/f d/t typed; readlink back/link").want(t, 0,
		"from here\nfrom here\nfrom here\nin\ntop\ntyped", "sub/f")
	if r := u.run("cp", "--json", "here.txt", "web:x").want(t, 0); objects(t, r.out)[0]["bytes"] != 10.0 {
		t.Errorf("as JSON: %s", r.out)
	}

	u.run("cp", "web:../../etc/passwd", "-").want(t, 5)
	u.run("cp", "web:/etc/passwd", "-").want(t, 5)
	u.run("cp", "here.txt", "web:../escaped").want(t, 5)
	u.run("cp", "web:missing", "x").want(t, 3)
	u.run("cp", "missing", "web:x").want(t, 3).wantErr(t, "missing")
	u.run("cp", "here.txt", "nobody:x").want(t, 3).wantErr(t, "nobody", "sandtree ls")
	u.run("cp", "here.txt", "there.txt").want(t, 2).wantErr(t, "ID:PATH")
	u.run("cp", "web:t", "web:u").want(t, 2)
	u.run("cp", "web:t").want(t, 2)
}

func TestUnpackStaysInside(t *testing.T) {
	for name, entries := range map[string][]tar.Header{
		"dots":        {{Name: "../x", Typeflag: tar.TypeReg}},
		"absolute":    {{Name: "/tmp/x", Typeflag: tar.TypeReg}},
		"by a link":   {{Name: "l", Typeflag: tar.TypeSymlink, Linkname: ".."}, {Name: "l/x", Typeflag: tar.TypeReg}},
		"a hard link": {{Name: "h", Typeflag: tar.TypeLink, Linkname: "../secret"}},
	} {
		outer := t.TempDir()
		if err := os.WriteFile(filepath.Join(outer, "secret"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range entries {
			if err := w.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		if err := unpack(&b, filepath.Join(outer, "dir")); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Lstat(filepath.Join(outer, "x")); err == nil {
			t.Errorf("%s: it got out", name)
		}
	}
}

func TestPackAndUnpack(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "to")
	if err := os.MkdirAll(filepath.Join(from, "empty", "deep"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(from, "run"), []byte("x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("run", filepath.Join(from, "link")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // over what is there, too
		var b bytes.Buffer
		if err := pack(from, &b); err != nil {
			t.Fatal(err)
		}
		if err := unpack(&b, to); err != nil {
			t.Fatal(err)
		}
	}
	if stat, err := os.Stat(filepath.Join(to, "run")); err != nil || stat.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", stat, err)
	}
	if l, err := os.Readlink(filepath.Join(to, "link")); err != nil || l != "run" {
		t.Errorf("%q, %v", l, err)
	}
	if _, err := os.Stat(filepath.Join(to, "empty", "deep")); err != nil {
		t.Error(err)
	}
}
