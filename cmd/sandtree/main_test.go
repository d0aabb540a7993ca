package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/testing/need"
)

// The tests run the programs as a user would. They are built once, without the race detector: sandboxd must be static.
var bin struct {
	once sync.Once
	dir  string
	err  error
}

func build() (string, error) {
	bin.once.Do(func() {
		if bin.dir, bin.err = os.MkdirTemp("", "st-bin-"); bin.err != nil {
			return
		}
		for _, name := range []string{"sandtree", "sandboxd"} {
			cmd := exec.Command("go", "build", "-o", filepath.Join(bin.dir, name), "../"+name)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				bin.err = fmt.Errorf("%w: %s", err, out)
				return
			}
		}
	})
	return bin.dir, bin.err
}

func TestMain(m *testing.M) {
	code := m.Run()
	if bin.dir != "" {
		os.RemoveAll(bin.dir)
	}
	os.Exit(code)
}

// patience bounds what a test waits for.
const patience = 30 * time.Second

// user is somebody with a home and a state directory of their own.
type user struct {
	t     *testing.T
	home  string
	state string
	env   []string
}

func newUser(t *testing.T) *user {
	t.Helper()
	need.Tool(t, "bash")
	if _, err := build(); err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("", "st-") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	u := &user{t: t, home: home, state: filepath.Join(home, "state")}
	u.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LANG=C.UTF-8", "TERM=xterm", "SANDTREE_STATE_DIR=" + u.state}
	t.Cleanup(func() {
		if left := u.processes(); len(left) > 0 {
			t.Errorf("left running: %s", left)
		}
		os.RemoveAll(home)
	})
	return u
}

// processes are those that have the state directory on their command line.
func (u *user) processes() (all []string) {
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range paths {
		if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte(u.state)) {
			all = append(all, path+": "+string(bytes.ReplaceAll(b, []byte{0}, []byte{' '})))
		}
	}
	return all
}

func (u *user) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(bin.dir, "sandtree"), args...)
	cmd.Env, cmd.Dir = u.env, u.home
	return cmd
}

type ended struct {
	out, err string
	code     int
}

func (u *user) run(args ...string) ended { return u.runWith("", args...) }

func (u *user) runWith(stdin string, args ...string) ended {
	u.t.Helper()
	cmd := u.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	return u.finish(cmd, cmd.Run(), &out, &errs)
}

func (u *user) finish(cmd *exec.Cmd, err error, out, errs *bytes.Buffer) ended {
	u.t.Helper()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		u.t.Fatal(err)
	}
	return ended{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// want checks an exit status, and that stdout has some words.
func (r ended) want(t *testing.T, code int, words ...string) ended {
	t.Helper()
	if r.code != code {
		t.Errorf("exit status %d, want %d\n%s\n%s", r.code, code, r.out, r.err)
	}
	for _, w := range words {
		if !strings.Contains(r.out, w) {
			t.Errorf("want %q in:\n%s\n%s", w, r.out, r.err)
		}
	}
	return r
}

// wantErr checks what stderr says.
func (r ended) wantErr(t *testing.T, words ...string) ended {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(r.err, w) {
			t.Errorf("want %q in:\n%s", w, r.err)
		}
	}
	return r
}

// lines reads what a running command writes, line by line.
type running struct {
	*exec.Cmd
	t    *testing.T
	out  *bufio.Reader
	errs bytes.Buffer
}

func (u *user) start(args ...string) *running {
	u.t.Helper()
	r := &running{Cmd: u.command(args...), t: u.t}
	r.Stderr = &r.errs
	out, err := r.StdoutPipe()
	if err == nil {
		err = r.Start()
	}
	if err != nil {
		u.t.Fatal(err)
	}
	r.out = bufio.NewReader(out)
	alarm := time.AfterFunc(patience, func() { _ = r.Process.Kill() })
	u.t.Cleanup(func() {
		alarm.Stop()
		_ = r.Process.Kill()
	})
	return r
}

// line is the next line; the test ends if there is none.
func (r *running) line() string {
	r.t.Helper()
	s, err := r.out.ReadString('\n')
	if err != nil {
		r.t.Fatalf("%v after %q\n%s", err, s, r.errs.String())
	}
	return strings.TrimSuffix(s, "\n")
}

// until reads lines up to one that has the words.
func (r *running) until(words string) string {
	r.t.Helper()
	for {
		if s := r.line(); strings.Contains(s, words) {
			return s
		}
	}
}

func (r *running) wait() ended {
	r.t.Helper()
	rest, _ := io.ReadAll(r.out)
	if err := r.Wait(); err != nil && r.ProcessState == nil {
		r.t.Fatal(err)
	}
	return ended{string(rest), r.errs.String(), r.ProcessState.ExitCode()}
}

// objects reads lines of JSON.
func objects(t *testing.T, s string) (all []map[string]any) {
	t.Helper()
	for dec := json.NewDecoder(strings.NewReader(s)); ; {
		var v map[string]any
		if err := dec.Decode(&v); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%v in:\n%s", err, s)
		}
		all = append(all, v)
	}
}
