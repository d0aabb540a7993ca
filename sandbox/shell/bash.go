package shell

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/sandbox"
)

const (
	defaultCols = 1000
	defaultRows = 1000
)

// A bash is one interactive bash on a terminal of its own. Its standard input is a socket, on which command lines go
// in and reports come out; the terminal is what its programs read from and write to.
type bash struct {
	proc     *os.Process
	pid      int
	start    uint64                // of the process, see Started
	socket   *os.File              // our end
	tty      *os.File              // the terminal's master side
	conn     syscall.RawConn       // of tty
	reports  syscall.RawConn       // of socket
	onReport func(fd uintptr) bool // readable, nudge and settleFD, as functions made once
	nudged   func()
	settled  func(fd uintptr)
	modes    unix.Termios  // of the terminal when it was new
	alarm    time.Time     // when the reader of the socket is to wake at the latest; the zero time: not known
	gone     chan struct{} // closed when bash has exited

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

	closing bool // no goroutine may be started any more
	strict  bool // an end of the socket ends waiting too: bash is to become ready, not another program
	ended   bool // it has come

	line   []byte       // buffer of send
	flush  bool         // argument of settleFD
	reader reportParser // guarded by mu too
	buf    [4096]byte
	wg     sync.WaitGroup
}

// startBash starts a bash that has read nothing yet. Its terminal is read by whoever calls pump.
func startBash(c Config, dir, group string) (*bash, error) {
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
	attr := &os.ProcAttr{
		Dir: dir, Env: environment(c.Env), Files: []*os.File{theirs, slave, slave},
		Sys: &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 1, Credential: c.User},
	}
	var proc *os.Process
	err = cgroup.Start(group, attr.Sys, func() (pid int, err error) { // it has read nothing yet, so moving it is in time too
		if proc, err = os.StartProcess(path, []string{"bash", "--noediting", "--norc", "-i"}, attr); err != nil {
			return 0, err
		}
		return proc.Pid, nil
	})
	if err != nil {
		if proc != nil { // it runs, and could not be put into the group
			_ = proc.Kill()
			_, _ = proc.Wait()
		}
		master.Close()
		ours.Close()
		return nil, startError(err)
	}
	b := &bash{proc: proc, pid: proc.Pid, socket: ours, tty: master, gone: make(chan struct{})}
	b.start, _ = Started(b.pid)
	b.conn, b.modes = conn, *modes
	b.reports, _ = ours.SyscallConn() // fails only for a nil file
	b.onReport, b.nudged, b.settled = b.readable, b.nudge, b.settleFD
	b.wg.Go(b.wait)
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
	b.poll() // what it reported last
	b.mu.Lock()
	b.dead, b.code = true, -1
	if err == nil {
		b.code = exitCode(state)
	}
	b.mu.Unlock()
	close(b.gone)
	b.nudge()
}

// exitCode is the code that a shell would report: 128 and the signal's number for one that was killed.
func exitCode(state *os.ProcessState) int {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return state.ExitCode()
}

// kill ends bash alone.
func (b *bash) kill() { _ = b.proc.Kill() }

// goOn runs f in a goroutine that close waits for.
func (b *bash) goOn(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closing {
		b.wg.Go(f)
	}
}

// close gives back the descriptors and waits for the goroutines. Bash must be dead or dying.
func (b *bash) close() {
	<-b.gone
	b.mu.Lock()
	b.closing = true
	b.mu.Unlock()
	b.socket.Close()
	b.tty.Close()
	b.wg.Wait()
}
