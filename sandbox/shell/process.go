package shell

import (
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/child"
	"github.com/sandtree/sandtree/sandbox"
)

// The streams of a process.
const (
	Stdout = iota // and all there is if streams are merged
	Stderr
)

// ProcessConfig says what program to start outside of any session.
type ProcessConfig struct {
	Child      child.Config
	Path       string   // of the program, absolute
	Argv       []string // with its name
	Env        []string // all of it, KEY=VALUE
	Dir        string   // where it starts; "" is "/"
	Stdin      []byte   // what it reads, before the end or what Write brings
	Open       bool     // there is more to come, from Write
	Merge      bool     // stderr goes into stdout
	TTY        bool     // on a terminal of its own: Merge and Open are implied
	Cols, Rows uint16   // of the terminal
	// Out gets what it writes, a piece at a time for each stream; p is Out's only until it returns.
	Out func(stream int, p []byte)
}

// Process is a program that runs outside of any session. Safe for concurrent use.
type Process struct {
	child   *child.Child
	input   *outlet  // nil if nothing can be added to it
	tty     *os.File // the terminal's master side; nil if there is none
	out     func(int, []byte)
	settled chan struct{} // closed when it has ended and what it wrote until then has been given to out
	reading sync.WaitGroup
	streams atomic.Int32 // how many have not come to their end
	files   [2]*os.File  // what it writes comes out of; nil if there is none
	quit    int          // an event, for input
	once    sync.Once
}

// StartProcess starts a program. Codes: those of Start.
func StartProcess(c ProcessConfig) (*Process, error) {
	p := &Process{out: c.Out, settled: make(chan struct{}), quit: -1}
	theirs, err := p.open(&c)
	if err == nil {
		p.child, err = child.Start(c.Child, child.Command{Path: c.Path, Args: c.Argv, Env: c.Env, Dir: c.Dir, Files: theirs[:3], TTY: c.TTY})
	}
	for i, f := range theirs {
		if f != nil && f != null() && !slices.Contains(theirs[:i], f) {
			f.Close()
		}
	}
	if err != nil {
		p.closeFiles()
		return nil, startError(err)
	}
	p.read()
	return p, nil
}

// null is /dev/null, which is opened once.
var null = sync.OnceValue(func() *os.File {
	f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil // then a program starts with its input closed
	}
	return f
})

// open makes the descriptors, and gives the program's.
func (p *Process) open(c *ProcessConfig) (theirs [3]*os.File, err error) {
	if c.TTY {
		return p.openTTY(c)
	}
	var ours *os.File
	if theirs[0], err = p.openInput(c); err != nil {
		return theirs, err
	}
	if ours, theirs[1], err = os.Pipe(); err != nil {
		return theirs, err
	}
	p.files[Stdout] = ours
	if theirs[2] = theirs[1]; c.Merge {
		return theirs, nil
	}
	theirs[2] = nil
	if ours, theirs[2], err = os.Pipe(); err != nil {
		return theirs, err
	}
	p.files[Stderr] = ours
	return theirs, nil
}

// openInput makes what the program reads: nothing, or a pipe.
func (p *Process) openInput(c *ProcessConfig) (theirs *os.File, err error) {
	if len(c.Stdin) == 0 && !c.Open {
		return null(), nil
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	theirs = os.NewFile(uintptr(fds[0]), "stdin")
	if p.quit, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err == nil {
		err = unix.SetNonblock(fds[1], true)
	}
	if err != nil {
		unix.Close(fds[1])
		return theirs, os.NewSyscallError("eventfd", err)
	}
	p.input = &outlet{fd: fds[1], quit: p.quit, own: true, large: true}
	if err := p.input.write(c.Stdin); err != nil {
		return theirs, err
	}
	if p.input.large = false; !c.Open {
		p.input.end()
	}
	return theirs, nil
}

func (p *Process) openTTY(c *ProcessConfig) (theirs [3]*os.File, err error) {
	fd, slave, _, err := openTerminal(c.Child.User, c.Cols, c.Rows)
	if err != nil {
		return theirs, err
	}
	p.tty = os.NewFile(uintptr(fd), "/dev/ptmx")
	p.files[Stdout] = p.tty
	theirs = [3]*os.File{slave, slave, slave}
	if p.quit, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return theirs, err
	}
	p.input = &outlet{fd: fd, quit: p.quit, large: true}
	err = p.input.write(c.Stdin)
	p.input.large = false
	return theirs, err
}

// read begins to read what the program writes. It goes on until the other end is closed, which may be by a process that
// outlives the program.
func (p *Process) read() {
	var drained sync.WaitGroup
	for stream, f := range p.files {
		if f != nil {
			drained.Add(1)
			p.streams.Add(1)
			p.reading.Go(func() { p.readFrom(f, stream, &drained) })
		}
	}
	p.reading.Go(func() {
		<-p.child.Done()
		for _, f := range p.files {
			if f != nil && p.streams.Load() > 0 { // have who waits for more look whether there is any; after the end of the file it fails, and is not needed
				_ = f.SetReadDeadline(time.Unix(1, 0))
			}
		}
		drained.Wait()
		close(p.settled)
	})
}

var readBuffers = sync.Pool{New: func() any { return new([readPiped]byte) }}

func (p *Process) readFrom(f *os.File, stream int, drained *sync.WaitGroup) {
	buf := readBuffers.Get().(*[readPiped]byte)
	defer readBuffers.Put(buf)
	settle := sync.OnceFunc(drained.Done)
	defer settle()
	defer p.streams.Add(-1)
	for {
		n, err := f.Read(buf[:])
		if n > 0 {
			p.out(stream, buf[:n])
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if p.drain(f, stream, buf[:]) != nil {
				return
			}
			settle()
			_ = f.SetReadDeadline(time.Time{})
		default:
			return
		}
	}
}

// drain reads what is there; the error says that there will be no more.
func (p *Process) drain(f *os.File, stream int, buf []byte) (ended error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	err = conn.Control(func(fd uintptr) {
		for {
			n, err := unix.Read(int(fd), buf)
			switch {
			case n > 0:
				p.out(stream, buf[:n])
			case err == unix.EINTR:
			case err == unix.EAGAIN:
				return
			default:
				ended = io.EOF
				return
			}
		}
	})
	return errors.Join(err, ended)
}

// PID is its number, which is also that of its group and its session.
func (p *Process) PID() int { return p.child.PID }

// Done is closed when it has ended and all that it wrote until then has been given to Out.
func (p *Process) Done() <-chan struct{} { return p.settled }

// Exit is how it ended; only after Done.
func (p *Process) Exit() child.Exit { return p.child.Exit() }

// Write adds to its input, without waiting for it to be read. Codes: Conflict (nothing can be added), Exhausted (1 MiB has
// not been read yet).
func (p *Process) Write(b []byte) error {
	if p.input == nil {
		return errEnded
	}
	err := p.input.write(b)
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.EIO) {
		return &sandbox.Error{Code: sandbox.Conflict, Op: "process", Err: errors.New("it does not read its input any more")}
	}
	return err
}

// EndInput ends its input, on a terminal by the key that does so.
func (p *Process) EndInput() error {
	switch {
	case p.input == nil:
	case p.tty != nil:
		return p.Write([]byte{4})
	default:
		p.input.end()
	}
	return nil
}

// Signal sends a signal to its group, or to it alone. Code: Conflict (it has ended).
func (p *Process) Signal(s syscall.Signal, group bool) error {
	err := p.child.Signal(s, group)
	if errors.Is(err, unix.ESRCH) {
		return &sandbox.Error{Code: sandbox.Conflict, Op: "process", Err: errors.New("it has ended")}
	}
	return err
}

// Resize tells it that its terminal has another size. Code: Conflict (it has none).
func (p *Process) Resize(cols, rows uint16) error {
	if p.tty == nil {
		return &sandbox.Error{Code: sandbox.Conflict, Op: "process", Err: errors.New("it has no terminal")}
	}
	return pty.Setsize(p.tty, &pty.Winsize{Cols: cols, Rows: rows})
}

// Release lets go of a process that has ended and, as far as can be seen at little cost, left nothing; false if it has,
// or something still holds its output.
func (p *Process) Release() bool {
	<-p.settled
	if p.streams.Load() > 0 || !p.child.Release() {
		return false
	}
	p.once.Do(p.finish)
	return true
}

// Close kills it and all that it has started, and waits. It may be called again.
func (p *Process) Close() error {
	err := p.child.Close()
	p.once.Do(p.finish)
	return err
}

// finish gives back what is held for a process of which nothing is left.
func (p *Process) finish() {
	<-p.settled
	p.closeFiles()
	p.reading.Wait()
}

func (p *Process) closeFiles() {
	if p.quit >= 0 {
		raise(p.quit)
	}
	if p.input != nil {
		p.input.close()
	}
	for _, f := range p.files {
		if f != nil {
			f.Close()
		}
	}
	if p.quit >= 0 {
		unix.Close(p.quit)
		p.quit = -1
	}
}
