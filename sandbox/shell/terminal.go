package shell

import (
	"github.com/sandtree/sandtree/internal/child"

	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// Terminal is an interactive bash for a person, on a terminal of its own: what is written to it are keys, what is read
// from it is to be shown. Safe for one reader and one writer at a time.
type Terminal struct {
	proc *os.Process
	cage child.Cage
	tty  *os.File
	conn syscall.RawConn
	gone chan struct{} // closed when bash has exited
	code int           // then set
	wg   sync.WaitGroup
	once sync.Once
	err  error // of Close
}

// gate is what runs before the person's shell does: it waits until the limits of its process stand.
const gate = `read -r -u 3 processes; exec 3<&-; [ -z "$processes" ] || ulimit -u "$processes"; exec bash -i`

// OpenTerminal starts a shell on a terminal of the size given. Of c, NoChange and History do not matter. Codes: those of
// Start.
func OpenTerminal(c Config, cols, rows uint16) (*Terminal, error) {
	path, err := lookBash()
	if err != nil {
		return nil, err
	}
	fd, slave, _, err := openTerminal(c.User, cols, rows)
	if err != nil {
		return nil, err
	}
	defer slave.Close()
	master := os.NewFile(uintptr(fd), "/dev/ptmx") // non-blocking, and so watched by the runtime's poller
	conn, err := master.SyscallConn()
	if err != nil {
		master.Close()
		return nil, startError(err)
	}
	wait, open, err := os.Pipe()
	if err != nil {
		master.Close()
		return nil, startError(err)
	}
	defer wait.Close()
	defer open.Close()
	dir := c.Dir
	if dir == "" {
		dir = "/"
	}
	t := &Terminal{tty: master, conn: conn, gone: make(chan struct{})}
	if t.cage, err = child.NewCage(c.Cgroup, "shell"); err != nil {
		master.Close()
		return nil, startError(err)
	}
	attr := &os.ProcAttr{
		Dir: dir, Env: environment(c.Env), Files: []*os.File{slave, slave, slave, wait},
		Sys: &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0, Credential: c.User},
	}
	if t.proc, err = child.StartIn(t.cage.Group, path, []string{"bash", "--norc", "--noprofile", "-c", gate}, attr); err != nil {
		master.Close()
		return nil, errors.Join(startError(err), t.cage.Remove())
	}
	t.cage.Add(t.proc.Pid)
	t.wg.Go(t.reap)
	if err := t.admit(c, open); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// admit tells the shell its limit and lets it go.
func (t *Terminal) admit(c Config, open *os.File) error {
	if c.OnStart != nil {
		c.OnStart(t.proc.Pid)
	}
	limit := ""
	if c.Cgroup == "" && c.Processes > 0 {
		limit = strconv.Itoa(c.Processes)
	}
	if _, err := fmt.Fprintln(open, limit); err != nil {
		return startError(err)
	}
	return nil
}

// reap takes the shell's exit code, and wakes a reader that waits for more.
func (t *Terminal) reap() {
	t.code = -1
	if state, err := t.proc.Wait(); err == nil {
		t.code = exitCode(state)
	}
	close(t.gone)
	_ = t.tty.SetReadDeadline(time.Unix(1, 0))
}

// Read reads what the terminal is to show; io.EOF when the shell has exited and all has been read, whether or not
// something else still holds the terminal.
func (t *Terminal) Read(p []byte) (int, error) {
	n, err := t.tty.Read(p)
	if err == nil || n > 0 {
		return n, nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		_ = t.conn.Control(func(fd uintptr) { n, err = unix.Read(int(fd), p) })
		if err == nil && n > 0 {
			return n, nil
		}
		return 0, io.EOF
	}
	if errors.Is(err, unix.EIO) || errors.Is(err, io.EOF) { // nobody holds the terminal any more
		return 0, io.EOF
	}
	return 0, err
}

// Write types p.
func (t *Terminal) Write(p []byte) (int, error) { return t.tty.Write(p) }

// Resize tells the programs that the terminal has another size now.
func (t *Terminal) Resize(cols, rows uint16) error {
	err := pty.Setsize(t.tty, &pty.Winsize{Cols: cols, Rows: rows})
	if err != nil {
		return fmt.Errorf("set the terminal's size: %w", err)
	}
	return nil
}

// Wait waits until the shell has exited and gives its exit code: 128 and the number of the signal that killed it. Any
// number of callers may wait.
func (t *Terminal) Wait() int {
	<-t.gone
	return t.code
}

// Close kills what runs in the terminal, as Session.Close does, and waits. It may be called twice.
func (t *Terminal) Close() error {
	t.once.Do(func() {
		err := t.cage.Empty()
		_ = t.proc.Kill()
		t.wg.Wait()
		t.err = errors.Join(err, t.tty.Close(), t.cage.Remove())
	})
	return t.err
}
