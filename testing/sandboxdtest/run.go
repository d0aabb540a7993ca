package sandboxdtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Box is a sandboxd and where it lives. It can be started again after it has ended, as a driver would.
type Box struct {
	Root   string // holds all below
	Dir    string // working directory
	State  string
	Socket string
	Key    string
	Args   []string   // flags besides those that say the above
	Env    []string   // of sandboxd; HOME is an empty directory unless it is here
	Files  []*os.File // its descriptors from 4 on

	t     testing.TB
	cmd   *exec.Cmd
	ended chan struct{}
	log   logBuffer
}

// patience is how long a sandboxd may take to start or to stop on a machine that does much else.
const patience = time.Minute

// New makes a box in a temporary directory, whose sandboxd is not started yet. What runs in it ends with the test.
func New(t testing.TB, args ...string) *Box {
	t.Helper()
	root, err := os.MkdirTemp("", "box-") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	b := &Box{t: t, Root: root, Dir: filepath.Join(root, "work"), State: filepath.Join(root, "state"),
		Socket: filepath.Join(root, "sock"), Key: "the key", Args: args}
	home := filepath.Join(root, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	b.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LANG=C.UTF-8"}
	t.Cleanup(func() {
		if b.cmd != nil {
			b.Stop()
		}
		if t.Failed() {
			t.Logf("sandboxd said:\n%s", b.log.String())
		}
		os.RemoveAll(root)
	})
	return b
}

// Start starts a box and its sandboxd.
func Start(t testing.TB, args ...string) *Box {
	t.Helper()
	b := New(t, args...)
	b.Start()
	return b
}

// Start starts the sandboxd and returns when it answers.
func (b *Box) Start() {
	b.t.Helper()
	keyFile := filepath.Join(b.Root, "key")
	if err := os.WriteFile(keyFile, []byte(b.Key), 0o600); err != nil {
		b.t.Fatal(err)
	}
	ready, tell, err := os.Pipe()
	if err != nil {
		b.t.Fatal(err)
	}
	defer ready.Close()
	args := []string{"--listen", "unix:" + b.Socket, "--working-dir", b.Dir, "--state-dir", b.State, "--key-file", keyFile,
		"--ready-fd", "3", "--log-level", "debug"}
	b.cmd = exec.Command(Binary(b.t), append(args, b.Args...)...)
	b.cmd.Env, b.cmd.ExtraFiles = b.Env, append([]*os.File{tell}, b.Files...)
	b.cmd.Stdout, b.cmd.Stderr = &b.log, &b.log
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	b.cmd.WaitDelay = time.Second // what it leaves behind may hold its log
	err = b.cmd.Start()
	tell.Close()
	if err != nil {
		b.t.Fatal(err)
	}
	cmd, ended := b.cmd, make(chan struct{})
	b.ended = ended
	go func() {
		_ = cmd.Wait() // its state tells
		close(ended)
	}()
	_ = ready.SetReadDeadline(time.Now().Add(patience))
	if n, err := ready.Read(make([]byte, 1)); n != 1 {
		b.Kill()
		b.t.Fatalf("sandboxd is not ready: %v\n%s", err, b.log.String())
	}
}

// PID is that of the sandboxd.
func (b *Box) PID() int { return b.cmd.Process.Pid }

// Ended is closed when the sandboxd has.
func (b *Box) Ended() <-chan struct{} { return b.ended }

// Kill kills the sandboxd and nothing else, and returns when it has ended.
func (b *Box) Kill() {
	_ = b.cmd.Process.Kill()
	<-b.ended
}

// Stop asks the sandboxd to stop and returns its exit status, -1 if a signal ended it.
func (b *Box) Stop() int {
	b.t.Helper()
	_ = b.cmd.Process.Signal(syscall.SIGTERM)
	return b.Wait()
}

// Wait returns its exit status when the sandboxd has ended, -1 if a signal ended it.
func (b *Box) Wait() int {
	b.t.Helper()
	select {
	case <-b.ended:
	case <-time.After(patience):
		_ = b.cmd.Process.Signal(syscall.SIGQUIT) // for its stacks
		<-b.ended
		b.t.Errorf("sandboxd did not stop:\n%s", b.log.String())
	}
	return b.cmd.ProcessState.ExitCode()
}

// Log is what the sandboxd has said.
func (b *Box) Log() string { return b.log.String() }

// Dial connects to the sandboxd.
func (b *Box) Dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", b.Socket)
}

// Client is an HTTP client for the sandboxd, whatever the host of a URL. It sends the key.
func (b *Box) Client() *http.Client {
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) }}
	b.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: withKey{t, b.Key}}
}

type withKey struct {
	http.RoundTripper
	key string
}

func (w withKey) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("X-Session-API-Key") == "" {
		r = r.Clone(r.Context())
		r.Header.Set("X-Session-API-Key", w.key)
	}
	return w.RoundTripper.RoundTrip(r)
}

// Run runs a command in the sandbox by the OpenHands form and gives what came back, or an error for any other status
// than 200.
func (b *Box) Run(ctx context.Context, command string) (string, error) {
	word, err := json.Marshal(command)
	if err != nil {
		return "", err
	}
	body := fmt.Sprintf(`{"action":{"action":"run","args":{"command":%s}}}`, word)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://sandbox/execute_action", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	response, err := b.Client().Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(response.Body); err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d: %s", response.StatusCode, answer.String())
	}
	return answer.String(), nil
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
