package shell

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/child"
	"github.com/sandtree/sandtree/sandbox"
)

const (
	defaultCols = 1000
	defaultRows = 1000
)

// A bash is one interactive bash on a terminal of its own, or on pipes. Its standard input is where command lines go in,
// and on a terminal where reports come out too; the terminal is what its programs read from and write to.
type bash struct {
	proc  *os.Process
	pid   int
	stdin string        // what its standard input is called while it reads commands
	gone  chan struct{} // closed when bash has exited
	modes unix.Termios  // of the terminal when it was new

	descriptors
	dialect *dialect
	piped   bool        // there is no terminal
	early   bool        // it was started before it was asked for
	away    string      // and this is its directory by now; "" if it is there
	group   string      // and this its cgroup; "" if it is in it
	home    string      // that it is to be told; "" is none
	pause   *time.Timer // after a command, at whose end the pump goes on; nil before the pump runs
	lines   outlet      // command lines
	keys    outlet      // to the terminal
	wg      sync.WaitGroup

	// What only the one who runs a command uses.
	line     []byte
	watching bool // the terminal is in here
	toldPath time.Time

	mu         sync.Mutex
	reader     reportParser
	buf        [4096]byte
	secret     secret // of the report that was asked for last
	waiting    bool   // it has not come yet
	done       bool   // it has
	agains     int    // how many times it was asked for again
	last       report
	number     int  // of the command sent last
	strict     bool // an end of the reports counts as death: bash is to become ready, not another program
	ended      bool // that end has come
	deaf       bool // and they are not watched any more
	dead       bool
	code       int  // exit code, once dead
	hungUp     bool // nobody holds the terminal any more
	persisting int  // number of the command whose interrupt is sent again if need be
	earlier    int  // the process group that had the terminal when the command began
	leave      bool // who waits is not to
	mayMend    bool // a command may have closed the standard output
	closed     bool // the descriptors are no longer ours
}

// startBash starts a bash that has read nothing yet, in the cgroup given. Its terminal is read by whoever calls pump.
func startBash(c Config, dir, group string) (*bash, error) {
	path, err := lookBash()
	if err != nil {
		return nil, err
	}
	b := &bash{gone: make(chan struct{}), dialect: onTerminal}
	env, home := homeless(c.Env)
	b.home = home
	slave, theirs, err := b.open(c.User)
	if err != nil {
		return nil, err
	}
	defer slave.Close()
	defer closeFiles(theirs)
	attr := &os.ProcAttr{
		Dir: dir, Env: environment(env), Files: []*os.File{theirs[0], slave, slave},
		Sys: &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 1, Credential: c.User},
	}
	// It has read nothing yet, so it may be moved into its group late, if it cannot be born there.
	if b.proc, err = child.StartIn(group, path, b.dialect.argv, attr); err != nil {
		b.descriptors.close()
		return nil, startError(err)
	}
	b.started()
	return b, nil
}

// started begins to look after the process.
func (b *bash) started() {
	b.pid = b.proc.Pid
	b.lines = outlet{fd: b.commands, quit: b.quit, large: true}
	b.keys = outlet{fd: b.tty, quit: b.quit}
	if b.piped {
		b.keys.fd, b.keys.own, b.input = b.input, true, -1
	}
	b.wg.Go(b.reap)
}

// open makes the descriptors, and the other ends of two of them.
func (b *bash) open(user *syscall.Credential) (slave *os.File, theirs []*os.File, err error) {
	d, theirs, err := openDescriptors(false)
	if err != nil {
		return nil, nil, startError(err)
	}
	b.descriptors, b.stdin = d, nameOf(int(theirs[0].Fd()))
	var modes *unix.Termios
	if b.tty, slave, modes, err = openTerminal(user, defaultCols, defaultRows); err != nil {
		closeFiles(theirs)
		b.descriptors.close()
		return nil, nil, err
	}
	b.modes = *modes
	return slave, theirs, nil
}

func lookBash() (string, error) {
	if path, err := exec.LookPath("/bin/bash"); err == nil {
		return path, nil
	}
	path, err := exec.LookPath("bash")
	if err != nil {
		return "", &sandbox.Error{Code: sandbox.Unsupported, Op: "shell.Start", Err: errors.New("there is no bash in the sandbox: " +
			"install bash, or use a session of kind pipe, which makes do with a sh")}
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

// reap takes bash's exit code.
func (b *bash) reap() {
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

// close gives back the descriptors and waits for the goroutines. Bash must be dead or dying, and nobody in listen.
func (b *bash) close() {
	<-b.gone
	if b.pause != nil {
		b.pause.Stop() // one that has fired finds the watcher closed
	}
	raise(b.quit)
	b.idle.close()
	b.here.close()
	b.lines.close()
	b.keys.close()
	b.wg.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.descriptors.close()
}
