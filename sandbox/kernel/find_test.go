package kernel

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
)

// program makes a file that can be executed.
func programAt(t *testing.T, path, script string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func link(t *testing.T, to, path string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPythons(t *testing.T) {
	d := t.TempDir()
	a := programAt(t, d+"/a/python3", "")
	link(t, a, d+"/a/python")
	b := programAt(t, d+"/b/python", "")
	v := link(t, a, d+"/venv/bin/python")
	link(t, a, d+"/venv/bin/python3")
	programAt(t, d+"/venv/pyvenv.cfg", "")
	link(t, d+"/a", d+"/same")
	if err := os.MkdirAll(d+"/dir/python3", 0o755); err != nil {
		t.Fatal(err)
	}
	got := pythons([]string{"PATH=" + strings.Join([]string{"relative", d + "/none", d + "/dir", d + "/a", d + "/same", d + "/b", d + "/venv/bin"}, ":")})
	got = slices.DeleteFunc(got, func(p string) bool { return !strings.HasPrefix(p, d) })
	if want := []string{a, b, v}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestSpecs(t *testing.T) {
	d := t.TempDir()
	spec := func(name, text string) { programAt(t, d+"/kernels/"+name+"/kernel.json", text) }
	spec("ir", `{"argv":["R","{resource_dir}/x","{connection_file}"],"language":"R","interrupt_mode":"message"}`)
	spec("broken", `{`)
	spec("empty", `{"argv":[]}`)
	env := []string{"JUPYTER_PATH=" + d, "HOME=/no/such"}
	for _, name := range []string{"ir", "IR", "r", "R"} {
		if p, ok := findSpec(env, name); !ok || p.Argv[1] != d+"/kernels/ir/x" || p.Mode != "message" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	for _, name := range []string{"broken", "empty", "julia", "../ir", ""} {
		if p, ok := findSpec(env, name); ok && name != "../ir" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if got := languages(env); !slices.Contains(got, "ir") || slices.Contains(got, "broken") {
		t.Errorf("%q", got)
	}
}

// Where there is no ipykernel, the error says what to install; a Python that has it and cannot start it says why.
func TestNoKernel(t *testing.T) {
	leak.Check(t)
	d := t.TempDir()
	path := "PATH=" + d
	ks := New(Config{RunDir: t.TempDir(), Env: func() []string { return []string{path} }})
	t.Cleanup(func() {
		if err := ks.Close(); err != nil {
			t.Error(err)
		}
	})
	failing := func(script string) error {
		programAt(t, d+"/python3", "#!/bin/sh\n"+script+"\n")
		dir, id, err := ks.place()
		if err != nil {
			t.Fatal(err)
		}
		l := &launch{dir: dir, id: id, env: []string{path}, prog: program{Argv: []string{d + "/python3"}, ours: true}}
		_, err = l.begin(t.Context())
		return err
	}
	if err := failing("exit 69"); err != errWithout {
		t.Error(err)
	}
	if err := failing("echo it is broken >&2; exit 1"); err == nil || err.Error() != "it exited with status 1:\nit is broken" {
		t.Error(err)
	}
	if err := failing("echo '{}' >&3; exec sleep 1000"); err == nil {
		t.Error("a program that is no kernel was one")
	}
	programAt(t, d+"/python", "#!/bin/sh\necho this one too >&2; exit 1\n")
	for _, c := range []struct {
		script, want string
		code         sandbox.Code
	}{
		{"exit 69", "this one too", sandbox.Unavailable},
		{"echo it is broken >&2; exit 1", "it is broken", sandbox.Unavailable},
		{"exit 69", "pip install ipykernel", sandbox.Unsupported},
	} {
		programAt(t, d+"/python3", "#!/bin/sh\n"+c.script+"\n")
		dir, id, err := ks.place()
		if err != nil {
			t.Fatal(err)
		}
		all := []string{d + "/python3", d + "/python"}
		if c.code == sandbox.Unsupported {
			all = all[:1]
		}
		_, err = ks.launchPython(t.Context(), &launch{dir: dir, id: id, env: []string{path}}, all)
		if err = unstarted(DefaultLanguage, err); sandbox.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Error(err)
		}
	}
	if err := ks.Start(t.Context(), "x", "cobol", "/"); sandbox.CodeOf(err) != sandbox.NotFound || !strings.Contains(err.Error(), "python3") {
		t.Error(err)
	}
}
