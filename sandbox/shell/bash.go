package shell

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/sandbox"
)

const (
	defaultCols = 1000
	defaultRows = 1000
)

// A bash is one interactive bash on a terminal of its own. Its standard input is a socket, on which command lines go
// in and reports come out; the terminal is what its programs read from and write to.
type bash struct {
	proc   *os.Process
	pid    int
	start  uint64          // of the process, see Started
	socket *os.File        // our end
	tty    *os.File        // the terminal's master side
	conn   syscall.RawConn // of tty
	modes  unix.Termios    // of the terminal when it was new
	wake   chan struct{}   // has room for one: a report came, or bash ended

	mu      sync.Mutex
	secret  secret // of the report that was asked for last
	waiting bool   // it has not come yet
	done    bool   // it has
	agains  int    // how many times it was asked for again
	last    report
	number  int // of the command sent last
	dead    bool
	code    int    // exit code, once dead
	unread  []byte // typed, and not yet taken by the terminal
	typing  bool   // typeOn runs

	line []byte // buffer of send
	gone chan struct{}
	wg   sync.WaitGroup
}

// startBash starts a bash that has read nothing yet. Its terminal is read by whoever calls pump.
func startBash(c Config, dir string) (*bash, error) {
	path, err := lookBash()
	if err != nil {
		return nil, err
	}
	master, slave, err := openTerminal(c.User, defaultCols, defaultRows)
	if err != nil {
		return nil, err
	}
	defer slave.Close()
	conn, modes, err := inspectTerminal(master)
	if err != nil {
		master.Close()
		return nil, startError(err)
	}
	ours, theirs, err := socketPair()
	if err != nil {
		master.Close()
		return nil, startError(err)
	}
	defer theirs.Close()
	proc, err := os.StartProcess(path, []string{"bash", "--noediting", "--norc", "-i"}, &os.ProcAttr{
		Dir: dir, Env: environment(c.Env), Files: []*os.File{theirs, slave, slave},
		Sys: &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 1, Credential: c.User},
	})
	if err != nil {
		master.Close()
		ours.Close()
		return nil, startError(err)
	}
	b := &bash{proc: proc, pid: proc.Pid, socket: ours, tty: master, wake: make(chan struct{}, 1), gone: make(chan struct{})}
	b.start, _ = Started(b.pid)
	b.conn, b.modes = conn, *modes
	b.wg.Go(b.wait)
	b.wg.Go(b.readReports)
	return b, nil
}

func lookBash() (string, error) {
	if path, err := exec.LookPath("/bin/bash"); err == nil {
		return path, nil
	}
	path, err := exec.LookPath("bash")
	if err != nil {
		return "", &sandbox.Error{Code: sandbox.Unsupported, Op: "shell.Start", Err: err}
	}
	return path, nil
}

// startError says what a failure to start means.
func startError(err error) error {
	code := sandbox.Internal
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOMEM), errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE),
		errors.Is(err, unix.ENOSPC):
		code = sandbox.Exhausted
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		code = sandbox.NotFound
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		code = sandbox.Denied
	}
	return &sandbox.Error{Code: code, Op: "shell.Start", Err: err}
}

func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "commands"), os.NewFile(uintptr(fds[1]), "commands"), nil
}

// environment is env without what describes another terminal or another shell's prompt, and with what this one needs.
func environment(env []string) []string {
	out := make([]string, 0, len(env)+2)
	pager := false
	for _, kv := range env {
		k, _, _ := strings.Cut(kv, "=")
		switch k {
		case "TERM", "COLUMNS", "LINES", "PROMPT_COMMAND", "PS1", "PS2", "TMUX", "TMUX_PANE", "TERM_PROGRAM":
			continue
		case "GIT_PAGER":
			pager = true
		}
		out = append(out, kv)
	}
	if !pager {
		out = append(out, "GIT_PAGER=cat") // also for git in scripts, which do not see the alias
	}
	return append(out, "TERM=xterm-256color")
}

// wait reaps bash.
func (b *bash) wait() {
	state, err := b.proc.Wait()
	b.mu.Lock()
	b.dead, b.code = true, -1
	if err == nil {
		b.code = exitCode(state)
	}
	b.mu.Unlock()
	close(b.gone)
	b.ring()
}

// exitCode is the code that a shell would report: 128 and the signal's number for one that was killed.
func exitCode(state *os.ProcessState) int {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return state.ExitCode()
}

// ring wakes whoever waits for news.
func (b *bash) ring() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// readReports takes what bash writes on the socket until bash is gone.
func (b *bash) readReports() {
	var p reportParser
	buf := make([]byte, 4096)
	for {
		n, err := b.socket.Read(buf)
		if n > 0 && b.take(&p, buf[:n]) {
			b.ring()
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) && !errors.Is(err, unix.ECONNRESET) {
				b.kill() // nothing can be known of it any more
			}
			return
		}
	}
}

// take feeds p and reports whether the report awaited is complete.
func (b *bash) take(p *reportParser, buf []byte) (came bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for field, rest := p.next(buf); field != nil; field, rest = p.next(rest) {
		if b.waiting && p.field(field, b.secret[:]) {
			b.last = p.report
			if b.last.of == b.number {
				b.last.code = b.last.marked
			}
			b.waiting, b.done, came = false, true, true
		}
	}
	return came
}

// interrupt does what ^C does, whatever the terminal's modes are.
func (b *bash) interrupt() {
	b.mu.Lock()
	running := b.waiting
	b.mu.Unlock()
	if group := b.foreground(); running && group > 0 {
		_ = unix.Kill(-group, unix.SIGINT)
		b.again()
	}
}

// kill ends bash alone.
func (b *bash) kill() { _ = b.proc.Kill() }

// news says whether the report awaited has come and whether bash is dead.
func (b *bash) news() (r report, done, dead bool, code int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last, b.done, b.dead, b.code
}

// close gives back the descriptors and waits for the goroutines. Bash must be dead or dying.
func (b *bash) close() {
	<-b.gone
	b.socket.Close()
	b.tty.Close()
	b.wg.Wait()
}
