package floor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// Open starts a bash on pipes and gives what runs a command in it and returns its output.
func Open() (run func(command string) (string, error), close func() error, err error) {
	shell, err := startPipe()
	if err != nil {
		return nil, nil, err
	}
	return func(command string) (string, error) {
		out, err := shell.run([]byte(command))
		return string(out), err
	}, sync.OnceValue(shell.close), nil
}

// A bash is a live bash, used by one at a time.
type bash struct {
	mu  sync.Mutex
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.ReadCloser
	buf []byte // what has come of an answer
	ask []byte
}

// marker ends an answer: a byte that no ordinary output has, the record separator.
const marker = 0x1e

const tail = "; printf '\\036'\n"

// run types a command and reads until the marker. The answer is valid until the next run.
func (b *bash) run(command []byte) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ask = append(append(b.ask[:0], command...), tail...)
	if _, err := b.in.Write(b.ask); err != nil {
		return nil, err
	}
	return b.answerLocked()
}

func (b *bash) answerLocked() ([]byte, error) {
	b.buf = b.buf[:0]
	for {
		if len(b.buf) == cap(b.buf) {
			b.buf = append(b.buf, make([]byte, max(4096, len(b.buf)))...)[:len(b.buf)]
		}
		n, err := b.out.Read(b.buf[len(b.buf):cap(b.buf)])
		b.buf = b.buf[:len(b.buf)+n]
		if end := bytes.IndexByte(b.buf, marker); end >= 0 {
			return bytes.Clone(b.buf[:end]), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (b *bash) close() error {
	b.cmd.Process.Kill()
	err := errors.Join(b.in.Close(), b.out.Close()) // before Wait, which closes pipes too
	b.cmd.Wait()                                    // says that it was killed
	return err
}

// None reads a start-up file or has a prompt.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command("bash", append([]string{"--norc", "--noprofile"}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "PS1=", "PS2=", "TERM=dumb", "HISTFILE="}
	return cmd
}

func startPipe() (*bash, error) {
	cmd := command()
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return warm(&bash{cmd: cmd, in: in, out: out})
}

func startTerminal(kind string) (*bash, error) {
	ours, theirs, err := pty.Open()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := command("-i")
	if kind == Stripped {
		if err := quiet(theirs); err != nil {
			ours.Close()
			return nil, err
		}
		cmd = command("--noediting", "-i")
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, err
	}
	return warm(&bash{cmd: cmd, in: ours, out: nopCloser{ours}})
}

// nopCloser keeps a terminal, which is both ends, from being closed twice.
type nopCloser struct{ io.Reader }

func (nopCloser) Close() error { return nil }

// quiet turns off the echo and the making of CR LF.
func quiet(tty *os.File) error {
	t, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	t.Lflag &^= unix.ECHO
	t.Oflag &^= unix.OPOST
	return unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, t)
}

// warm waits until the shell takes commands.
func warm(b *bash) (*bash, error) {
	if _, err := b.run([]byte("true")); err != nil {
		b.close()
		return nil, fmt.Errorf("bash did not start: %w", err)
	}
	return b, nil
}
