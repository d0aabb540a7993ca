package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// waiting is a server that waits for its command line.
type waiting struct {
	*exec.Cmd
	order, ready *os.File
	errs         bytes.Buffer
}

func startWaiting(t *testing.T) *waiting {
	t.Helper()
	w := &waiting{Cmd: exec.Command(sandboxdtest.Binary(t), "await")}
	theirs, ready := pipe(t)
	key, mine := pipe(t)
	env, mine2 := pipe(t)
	order, mine3 := pipe(t)
	mine.Close()
	mine2.Close()
	// Descriptors 3 to 6: ready, key, env, order.
	w.ExtraFiles = []*os.File{ready, key, env, order}
	w.order, w.ready = mine3, theirs
	w.Stderr = &w.errs
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range w.ExtraFiles {
		f.Close()
	}
	alarm := time.AfterFunc(20*time.Second, func() { _ = w.Process.Kill() })
	t.Cleanup(func() { alarm.Stop(); _ = w.Process.Kill() })
	return w
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func (w *waiting) want(t *testing.T, status int, words string) {
	t.Helper()
	_ = w.Wait()
	if got := w.ProcessState.ExitCode(); got != status || !strings.Contains(w.errs.String(), words) {
		t.Errorf("status %v, want %d; it says %q, want %q", w.ProcessState, status, w.errs.String(), words)
	}
}

func TestAwait(t *testing.T) {
	// Whoever started it has ended, or wants it no more.
	w := startWaiting(t)
	w.order.Close()
	w.want(t, 0, "")

	w = startWaiting(t)
	if err := w.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = w.Wait() // by the signal, or by itself when it has heard of it

	// Whoever started it has ended in the middle of the sentence.
	for _, order := range []string{"/log", "/log\x003\x00--listen\x00unix:/x\x00", "/log\x00x\x00--version\x00", "/log\x001\x00--versi"} {
		w = startWaiting(t)
		if _, err := w.order.WriteString(order); err != nil {
			t.Fatal(err)
		}
		w.order.Close()
		w.want(t, 2, "cut short")
	}

	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w = startWaiting(t)
	if _, err := w.order.WriteString(log + "\x001\x00--version\x00"); err != nil {
		t.Fatal(err)
	}
	w.order.Close()
	w.want(t, 0, "")
	if b, err := os.ReadFile(log); err != nil || !strings.HasPrefix(string(b), "sandboxd ") {
		t.Errorf("its log has %q, %v", b, err)
	}
}
