package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/ledger"
	"github.com/sandtree/sandtree/sandbox/shell"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// A process is a program that runs, or ran, outside of any session.
type process struct {
	wire.Command
	began time.Time
	out   *outputs
	entry *ledger.Entry // nil without an id
	ready chan struct{} // closed when p or failure is set
	done  chan struct{} // closed when what follows it is set

	p        *shell.Process
	failure  error // why it did not start
	timeout  *time.Timer
	timedOut atomic.Bool

	ended time.Time
	exit  wire.Exit
	usage *wire.Usage // nil if it has not started
	frame []byte      // the last one

	held int // memory of its output when it ended, which the table counts

	inputs sync.Mutex // held by who adds to the input; guards taken
	taken  uint64     // bytes of input
}

// parseCommand reads a command. Code: Invalid.
func parseCommand(b []byte) (c wire.Command, err error) {
	if err := decodeSpec("process", b, &c); err != nil {
		return c, err
	}
	invalid := func(format string, args ...any) (wire.Command, error) {
		return c, refused(sandbox.Invalid, "process", fmt.Sprintf(format, args...))
	}
	if c.ID != "" {
		if err := sandbox.CheckActionID(c.ID); err != nil {
			return c, err
		}
	}
	switch {
	case (len(c.Argv) == 0) == (c.Command == ""):
		return invalid("want either argv, the program and its arguments, or command, a text for the shell")
	case len(c.Argv) > 0 && c.Argv[0] == "":
		return invalid("the program's name in argv is empty")
	case !(c.Timeout >= 0 && c.Timeout <= math.MaxInt64/1e9):
		return invalid("timeout %v is no number of seconds from 0 on", c.Timeout)
	}
	for _, s := range append([]string{c.Command, c.Cwd}, c.Argv...) {
		if strings.ContainsRune(s, 0) {
			return invalid("a NUL byte can be neither in an argument nor in a path")
		}
	}
	if c.Cols == 0 {
		c.Cols = 80
	}
	if c.Rows == 0 {
		c.Rows = 24
	}
	return c, checkVariables("process", c.Env)
}

// program gives the path and the arguments of a command. Codes: NotFound, Unsupported.
func program(c wire.Command, env []string, dir string) (path string, argv []string, err error) {
	search := ""
	for _, v := range env {
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			search = value
		}
	}
	if c.Command != "" {
		for _, name := range []string{"bash", "sh"} {
			if path = lookIn(search, name, dir); path == "" {
				path = lookIn("/bin:/usr/bin", name, dir)
			}
			if path != "" {
				return path, []string{name, "-c", c.Command}, nil
			}
		}
		return "", nil, refused(sandbox.Unsupported, "process", "there is neither a bash nor a sh in the sandbox: install one, or give argv")
	}
	if path = lookIn(search, c.Argv[0], dir); path == "" {
		return "", nil, refused(sandbox.NotFound, "process", fmt.Sprintf("there is no program %.200q that can be run: give its path, or look at PATH", c.Argv[0]))
	}
	return path, c.Argv, nil
}

// lookIn looks for a program as a shell would; "" is none.
func lookIn(search, name, dir string) string {
	if strings.Contains(name, "/") {
		return inDir(dir, name)
	}
	for _, d := range filepath.SplitList(search) {
		path := filepath.Join(inDir(dir, d), name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// launch starts the process. What it writes goes to p.out; p.done is closed when it has ended.
func (s *Server) launch(p *process) {
	defer close(p.ready)
	settings := s.sessions.settings()
	env := shell.Merge(settings.Env, variables(p.Env))
	dir := inDir(settings.Dir, p.Cwd)
	path, argv, err := program(p.Command, env, dir)
	if err == nil {
		p.p, err = shell.StartProcess(shell.ProcessConfig{Child: s.childConfig(), Path: path, Argv: argv, Env: env, Dir: dir,
			Stdin: []byte(p.Stdin), Open: p.Open, Merge: p.Merge, TTY: p.TTY, Cols: p.Cols, Rows: p.Rows, Out: p.out.print})
	}
	if err != nil {
		p.failure = unstartable(err, path)
		p.end(wire.Exit{}, wire.AppendFrame(nil, wire.Frame{Type: wire.FrameError, Payload: wire.AppendError(nil, p.failure)}))
		return
	}
	if p.Timeout > 0 {
		p.timeout = time.AfterFunc(time.Duration(p.Timeout*float64(time.Second)), func() {
			p.timedOut.Store(true)
			_ = p.p.Close() // what it leaves over, the end of the server will find
		})
	}
}

// unstartable is why a program could not be started.
func unstartable(err error, path string) error {
	switch {
	case errors.Is(err, unix.ENOEXEC):
		return refused(sandbox.Invalid, "process", fmt.Sprintf("%s is in no form that the system runs: name its interpreter in argv, or in a first line #!", path))
	case errors.Is(err, unix.E2BIG):
		return refused(sandbox.Invalid, "process", "the arguments and variables are longer than the system takes: put them into a file")
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, unix.ENOENT):
		return &sandbox.Error{Code: sandbox.NotFound, Op: "process", Err: fmt.Errorf("the program, its interpreter or the directory does not exist: %w", err)}
	}
	return err
}

// watch waits for the end of a process that launch has started, and ends it with life. memory tells why it was killed.
func (p *process) watch(life context.Context, memory *memoryWatch) {
	<-p.ready
	if p.failure != nil {
		return
	}
	select {
	case <-p.p.Done():
	case <-life.Done():
		_ = p.p.Close() // what it leaves over, the end of the server will find
		<-p.p.Done()
	}
	if p.timeout != nil {
		p.timeout.Stop()
	}
	e := p.p.Exit()
	exit := wire.Exit{Code: e.Code, Timeout: p.timedOut.Load()}
	if e.Signal != 0 {
		exit.Signal = strings.TrimPrefix(unix.SignalName(e.Signal), "SIG")
	}
	if killed := e.Signal == unix.SIGKILL || e.Code == 128+int(unix.SIGKILL); killed && !exit.Timeout {
		exit.Memory = memory.struckSince(p.began)
	}
	p.usage = &wire.Usage{User: e.Usage.User.Seconds(), System: e.Usage.System.Seconds(), MaxRSS: e.Usage.MaxRSS}
	p.end(exit, p.lastFrame(exit))
}

func (p *process) lastFrame(exit wire.Exit) []byte {
	payload, _ := json.Marshal(exit)
	return wire.AppendFrame(nil, wire.Frame{Type: wire.FrameExit, Offset: p.out.held()[shell.Stdout].Length, Payload: payload})
}

// end notes how it ended and tells.
func (p *process) end(exit wire.Exit, frame []byte) {
	p.ended, p.exit, p.frame = time.Now(), exit, frame
	p.Command.Stdin = "" // it may be long, and is not needed any more
	close(p.done)
}

func (p *process) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// state is what clients are told of it; only once it is ready.
func (p *process) state() wire.Process {
	held := p.out.held()
	st := wire.Process{ID: p.ID, Argv: p.Argv, Command: p.Command.Command, Started: p.began.UTC(), Stdout: held[shell.Stdout], Stderr: held[shell.Stderr]}
	if p.p != nil {
		st.PID = p.p.PID()
	}
	if p.over() {
		ended, exit := p.ended.UTC(), p.exit
		st.Ended, st.Exit, st.Usage = &ended, &exit, p.usage
	}
	return st
}

// Close kills it and everything that it has started.
func (p *process) Close() error {
	<-p.ready
	if p.p == nil {
		return nil
	}
	err := p.p.Close()
	<-p.done
	return err
}

// feed adds to its input what has not come before: b begins at byte offset of all. Codes: Conflict, Exhausted.
func (p *process) feed(b []byte, offset uint64, eof bool) error {
	<-p.ready
	if p.failure != nil {
		return p.failure
	}
	p.inputs.Lock()
	defer p.inputs.Unlock()
	if offset == appended {
		offset = p.taken
	}
	switch {
	case p.over():
		return refused(sandbox.Conflict, "process", "it has ended: there is nobody to read input; ask for its output and exit code, or start another one")
	case offset > p.taken:
		return refused(sandbox.Conflict, "process", fmt.Sprintf("the input at %d is missing: it has had %d bytes; send from there on", offset, p.taken))
	}
	for b = b[min(p.taken-offset, uint64(len(b))):]; len(b) > 0; {
		piece := b[:min(len(b), inputPiece)]
		if err := p.p.Write(piece); err != nil {
			return err
		}
		p.taken += uint64(len(piece))
		b = b[len(piece):]
	}
	if eof {
		return p.p.EndInput()
	}
	return nil
}

// appended stands for the offset of input that comes after all that has come.
const appended = math.MaxUint64

// inputPiece is how much input is taken, or refused because the process does not read, at a time: 64 KiB, a pipe's size.
const inputPiece = 64 << 10

// validText says whether a body is text at all: JSON in another coding would be repaired silently.
func validText(b []byte) error {
	if !utf8.Valid(b) {
		return refused(sandbox.Invalid, "process", "the body is not UTF-8: what is none goes in by "+wire.SuffixInput+", as it is")
	}
	return nil
}
