package kernel

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/internal/child"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
)

func TestSeveralKernels(t *testing.T) {
	ks := kernels(t, Config{})
	var wg sync.WaitGroup
	for _, name := range []string{"", "a"} {
		wg.Go(func() { cellIn(t, ks, name, "import time, os; x = '"+name+"'", 0) })
	}
	wg.Wait()
	if got := cellIn(t, ks, "a", "x", 0) + cellIn(t, ks, "main", "x", 0); got != "'a'''" {
		t.Error(got)
	}
	wg.Go(func() { cellIn(t, ks, "a", "time.sleep(1000)", 0) })
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if i, err := ks.Info("a"); err == nil && i.State == "busy" || time.Now().After(deadline) {
			break
		}
	}
	if got := runCell(t, ks, "1"); got != "1" { // it does not wait for the other one
		t.Error(got)
	}
	if err := ks.Interrupt("a"); err != nil {
		t.Error(err)
	}
	wg.Wait()
	list := ks.List()
	if len(list) != 2 || list[0].Name != "a" || list[1].Name != Main || list[1].State != "idle" || list[1].PID == 0 || list[1].Cells != 3 || list[1].Language != DefaultLanguage {
		t.Errorf("%+v", list)
	}
}

func TestRestartAndStop(t *testing.T) {
	ks := kernels(t, Config{})
	for what, end := range map[string]func() error{
		"restart": func() error { return ks.Restart(t.Context(), "", "/") },
		"stop":    func() error { return ks.Stop(t.Context(), Main) },
	} {
		runCell(t, ks, "x = 1")
		ended := make(chan error, 1)
		once := sync.OnceFunc(func() { go func() { ended <- end() }() })
		var content string
		o, err := ks.Run(t.Context(), "", sandbox.IPythonArgs{Code: "import time; print('begun', flush=True); time.sleep(1000)"}, 0, "/", func(int64, []byte) { once() })
		if content = o.Content; err != nil || content != "begun\n[The kernel was stopped or restarted while the cell was running.]" {
			t.Errorf("%s: %q, %v", what, content, err)
		}
		if got := runCell(t, ks, "'x' in globals()"); got != "False" {
			t.Errorf("%s: %q", what, got)
		}
		if err := <-ended; err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := ks.Stop(t.Context(), "none"); sandbox.CodeOf(err) != sandbox.NotFound {
		t.Error(err)
	}
	if err := ks.Restart(t.Context(), "none", "/"); sandbox.CodeOf(err) != sandbox.NotFound {
		t.Error(err)
	}
	var err error
	for i := range maxKernels + 1 {
		_, err = ks.named(string(rune('A'+i)), DefaultLanguage)
	}
	if sandbox.CodeOf(err) != sandbox.Exhausted {
		t.Error(err)
	}
}

// The wait for a kernel that starts is bounded; the kernel goes on starting.
func TestTimeoutWhileStarting(t *testing.T) {
	ks := kernels(t, Config{})
	if got := cellIn(t, ks, "", "1", time.Millisecond); got != "[Execution timed out (0.001 seconds).]" {
		t.Error(got)
	}
	if err := ks.Interrupt(""); sandbox.CodeOf(err) != sandbox.Conflict {
		t.Error(err)
	}
	if got := cellIn(t, ks, "", "2", time.Minute); got != "2" {
		t.Error(got)
	}
	if i, err := ks.Info(""); err != nil || i.Cells != 1 {
		t.Errorf("%+v, %v", i, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	o, err := ks.Run(ctx, "", sandbox.IPythonArgs{Code: "print(3, flush=True); import time; time.sleep(1000)"}, 0, "/", func(int64, []byte) { cancel() })
	if r, ok := o.Result.(sandbox.ErrorResult); err != nil || !ok || r.ErrorID != "" {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestCloseWhileStarting(t *testing.T) {
	ks := kernels(t, Config{})
	var wg sync.WaitGroup
	begun := make(chan struct{})
	wg.Go(func() {
		close(begun)
		_, err := ks.Run(t.Context(), "", sandbox.IPythonArgs{Code: "1"}, 0, "/", nil)
		if err != nil && sandbox.CodeOf(err) != sandbox.Unavailable {
			t.Error(err)
		}
	})
	<-begun
	if err := ks.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if err := ks.Start(t.Context(), "", "", "/"); sandbox.CodeOf(err) != sandbox.Unavailable || !strings.Contains(err.Error(), "ask the next one") {
		t.Error(err)
	}
}

// Cells run as the user of the sandbox, who owns what kernels are met at, and nobody else gets in.
func TestUser(t *testing.T) {
	need.Root(t)
	const nobody = 65534
	parent, err := os.MkdirTemp("/tmp", "kernels")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(parent) })
	if err := os.Chmod(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	ks := kernels(t, Config{RunDir: parent, Child: child.Config{User: &syscall.Credential{Uid: nobody, Gid: nobody}},
		Env: func() []string { return []string{"PATH=/usr/bin:/bin", "HOME=/nonexistent"} }})
	if got := runCell(t, ks, "import os; print(os.getuid(), os.getgid())"); got != "65534 65534" {
		t.Error(got)
	}
	if got := runCell(t, ks, "open('/root/test.txt', 'w')"); !strings.Contains(got, "Permission denied") {
		t.Error(got)
	}
	st, err := os.Stat(ks.dir.path)
	if err != nil || st.Mode().Perm() != 0o700 || st.Sys().(*syscall.Stat_t).Uid != nobody {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	// It is his: what he puts there in the place of ours is not written to, and who else listens there not spoken to.
	if err := os.Rename(ks.dir.path, ks.dir.path+"-moved"); err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	if err := os.Symlink(target, ks.dir.path); err != nil {
		t.Fatal(err)
	}
	if err := ks.Start(t.Context(), "b", "", "/"); err == nil {
		t.Error("a kernel in another directory has started")
	}
	if left, _ := os.ReadDir(target); len(left) > 0 {
		t.Errorf("%v was written", left)
	}
	if err := errors.Join(os.Remove(ks.dir.path), os.Rename(ks.dir.path+"-moved", ks.dir.path)); err != nil {
		t.Fatal(err)
	}
}

// The files of a server that was killed are removed by the next one with its mark, and no others.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"sandtree-kernels-mark-1", "sandtree-kernels-other-1"} {
		programAt(t, filepath.Join(dir, d, "x"), "")
	}
	ks := New(Config{RunDir: dir, Mark: "mark", Env: func() []string { return nil }})
	_, _, err := ks.place()
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(dir + "/*"); len(left) != 2 {
		t.Errorf("%q", left)
	}
	if err := ks.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(dir + "/*"); len(left) != 1 {
		t.Errorf("%q", left)
	}
}

// Kernels of other languages are found by name and met at ports.
func TestAnotherLanguage(t *testing.T) {
	python := need.Kernel(t)
	d := t.TempDir()
	programAt(t, d+"/kernels/echo/echo.py", `
from ipykernel.kernelbase import Kernel
from ipykernel.kernelapp import IPKernelApp

class Echo(Kernel):
    implementation = banner = "echo"
    implementation_version = "1"
    language_info = {"name": "echoes", "mimetype": "text/plain", "file_extension": ".txt"}

    def do_execute(self, code, silent, *a, **k):
        self.send_response(self.iopub_socket, "stream", {"name": "stdout", "text": code.upper()})
        return {"status": "ok", "execution_count": 0, "payload": [], "user_expressions": {}}

IPKernelApp.launch_instance(kernel_class=Echo)
`)
	programAt(t, d+"/kernels/echo/kernel.json", `{"argv":["`+python+`","{resource_dir}/echo.py","-f","{connection_file}"],"language":"echoes","env":{"X":"1"}}`)
	ks := kernels(t, Config{Env: func() []string { return append(os.Environ(), "JUPYTER_PATH="+d) }})
	if err := ks.Start(t.Context(), "e", "Echoes", "/"); err != nil {
		t.Fatal(err)
	}
	if err := ks.Start(t.Context(), "e", "", "/"); sandbox.CodeOf(err) != sandbox.Conflict {
		t.Error(err)
	}
	o, err := ks.Run(t.Context(), "e", sandbox.IPythonArgs{Code: "hear me", IncludeExtra: true}, 0, "/usr", nil)
	if err != nil || o.Content != "HEAR ME\n[Jupyter current working directory: /usr]\n[Jupyter kernel: Echoes]" {
		t.Errorf("%q, %v", o.Content, err)
	}
}
