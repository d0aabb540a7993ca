package server_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// sandboxd runs the program to its end.
func sandboxd(t *testing.T, env []string, args ...string) (output string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), sandboxdtest.Binary(t), args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, env...)
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestTheCommandLine(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	sock := "unix:" + filepath.Join(dir, "s")
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"--help", 0, "Examples:"},
		{"--version", 0, "sandboxd "},
		{"", 2, "--listen"},
		{"--wings", 2, "wings"},
		{"--listen moon:1", 2, "unix:PATH or tcp:HOST:PORT"},
		{"--listen unix:" + file, 2, "is no socket"},
		{"--listen " + sock + " extra", 2, "extra"},
		{"--listen " + sock + " --key-file /none", 2, "key-file"},
		{"--listen " + sock + " --env-file " + file, 2, "env-file"},
		{"--listen " + sock + " --orphan-after 0s", 2, "orphan-after"},
		{"--listen " + sock + " --log-format xml", 2, "log-format"},
		{"--listen " + sock + " --plugins wings", 2, "wings"},
		{"0 --plugins jupyter wings", 2, "wings"},
		{"0 --listen " + sock, 2, "port"},
		{"0 --browsergym-eval-env x --no-enable-browser", 2, "browser"},
	} {
		args := append(strings.Fields(c.args), "--working-dir", filepath.Join(dir, "w"))
		out, status := sandboxd(t, nil, args...)
		if status != c.status || !strings.Contains(out, c.says) {
			t.Errorf("%q: status %d, %q; want %d, %q", c.args, status, out, c.status, c.says)
		}
	}
}

// The command line of OpenHands' launchers, with flags of versions to come.
func TestOpenHandsCommandLine(t *testing.T) {
	need.Tool(t, "bash")
	port := need.Port(t)
	dir := t.TempDir()
	me := os.Getenv("USER")
	if me == "" {
		me = "root"
	}
	args := []string{strconv.Itoa(port), "--working-dir", dir, "--plugins", "agent_skills", "jupyter", "--username", me, "--user-id", "1000",
		"--no-enable-browser", "--from-the-future", "7"}
	cmd := exec.Command(sandboxdtest.Binary(t), args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "USER=" + me, "SESSION_API_KEY=" + key, "NO_CHANGE_TIMEOUT_SECONDS=1", "LOG_JSON=1"}
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, log.String())
		}
		if !strings.Contains(log.String(), `"msg":"ready"`) || strings.Contains(log.String(), key) {
			t.Errorf("the log: %s", log.String())
		}
	}()
	url := "http://127.0.0.1:" + strconv.Itoa(port)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) { // as their client does, but oftener
		if r, err := http.Get(url + "/alive"); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("not alive")
		}
	}
	ask := func(command string) string {
		r, err := http.NewRequest("POST", url+"/execute_action", strings.NewReader(`{"action":{"action":"run","args":{"command":"`+command+`"}}}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(wire.HeaderKey, key)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if got := ask(`tr '\\0' '\\n' </proc/$SANDBOXD_PID/environ; env`); strings.Contains(got, key) {
		t.Error("programs can see the key:", got)
	}
	if got := ask("sleep 3"); !strings.Contains(got, "no new output after 1 seconds") {
		t.Error(got)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestTheSocketIsForItsUserOnly(t *testing.T) {
	need.Tool(t, "bash")
	s := sandboxdtest.Start(t)
	info, err := os.Stat(s.Socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if answer, err := s.Run(t.Context(), "umask"); err != nil || strings.Contains(answer, "0177") {
		t.Errorf("programs inherit the socket's umask: %s, %v", answer, err)
	}
}

func TestEnvFile(t *testing.T) {
	need.Tool(t, "bash")
	s := sandboxdtest.New(t)
	file := filepath.Join(s.Root, "env")
	odd := "a'b\"c $HOME\n`id` \\ é"
	if err := os.WriteFile(file, []byte("ODD="+odd+"\x00EMPTY=\x00SANDTREE_SANDBOX=given\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Key, s.Args = key, []string{"--env-file", file}
	s.Start()
	b := real(t, s)
	b.native("a", run(`printf %s "$ODD"; echo "|${EMPTY-unset}|$SANDTREE_SANDBOX"`)).wantRun(t, 0, odd+"||given")
}

// startProgram starts the program and gives what stops it.
func startProgram(t *testing.T, env []string, args ...string) (stop func() int) {
	t.Helper()
	cmd := exec.Command(sandboxdtest.Binary(t), args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	cmd.Stderr = testLog{t}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() int {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // the status tells
		return cmd.ProcessState.ExitCode()
	}
}

func number(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil
}

// zeros is a body of n zeros.
func zeros(n int64) io.ReadCloser { return io.NopCloser(io.LimitReader(zero{}, n)) }

type zero struct{}

func (zero) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func count(t *testing.T, r io.Reader) int64 {
	t.Helper()
	n, err := io.Copy(io.Discard, r)
	if err != nil {
		t.Error(err)
	}
	return n
}

// A driver sends the variables, more than a pipe holds, and then the key.
func TestTheKeyIsReadAfterTheVariables(t *testing.T) {
	need.Tool(t, "bash")
	b := sandboxdtest.New(t, "--key-file", "/dev/fd/4", "--env-file", "/dev/fd/5")
	keys, key, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	vars, env, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b.Files = []*os.File{keys, vars}
	go func() {
		defer key.Close()
		_, err := env.WriteString("A=" + strings.Repeat("x", 100<<10) + "\x00")
		if env.Close(); err == nil {
			_, _ = key.WriteString(b.Key)
		}
	}()
	b.Start()
	keys.Close()
	vars.Close()
	if got, err := b.Run(t.Context(), "echo ${#A}"); err != nil || !strings.Contains(got, "102400") {
		t.Errorf("%s, %v", got, err)
	}
}
