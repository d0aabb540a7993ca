package shell

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/child"
	"github.com/sandtree/sandtree/sandbox"
)

// pipeSize is asked for the pipe of the output, 256 KiB: four times the usual, so that 1 MB takes few wake-ups. It may be
// refused.
const pipeSize = 256 << 10

// startPiped starts a shell on pipes: a bash, or where there is none a sh. Its standard input is where commands come from,
// as on a terminal; the input of its programs is descriptor 3, and they all write to one pipe.
func startPiped(c Config, dir, group string) (*bash, error) {
	path, d, err := lookShell()
	if err != nil {
		return nil, err
	}
	b := &bash{gone: make(chan struct{}), dialect: d, piped: true}
	files, err := b.openPipes(c.User)
	if err != nil {
		return nil, startError(err)
	}
	defer closeFiles(files)
	attr := &os.ProcAttr{Dir: dir, Env: append(environment(c.Env), "TERM=dumb", "PS1=", "PS2="),
		Files: files, Sys: &syscall.SysProcAttr{Setsid: true, Credential: c.User}}
	if b.proc, err = child.StartIn(group, path, d.argv, attr); err != nil {
		b.descriptors.close()
		return nil, startError(err)
	}
	b.started()
	return b, nil
}

// openPipes makes the descriptors and gives the shell's: commands, output, reports or output once more, input.
func (b *bash) openPipes(user *syscall.Credential) (theirs []*os.File, err error) {
	d, channel, err := openDescriptors(b.dialect.pipes)
	if err != nil {
		return nil, err
	}
	b.stdin = nameOf(int(channel[0].Fd()))
	theirs = channel
	var out, in [2]int
	if err = unix.Pipe2(out[:], unix.O_CLOEXEC); err == nil {
		d.tty = out[0]
		output := os.NewFile(uintptr(out[1]), "output")
		if theirs = slices.Insert(channel, 1, output); len(theirs) < 3 {
			theirs = append(theirs, output)
		}
		_, _ = unix.FcntlInt(uintptr(out[0]), unix.F_SETPIPE_SZ, pipeSize)
		err = unix.Pipe2(in[:], unix.O_CLOEXEC)
	}
	if err == nil {
		d.input, d.unread = in[1], in[0]
		var dup int
		if dup, err = unix.FcntlInt(uintptr(in[0]), unix.F_DUPFD_CLOEXEC, 3); err == nil {
			theirs = append(theirs, os.NewFile(uintptr(dup), "input"))
			err = unix.SetNonblock(in[1], true)
		}
	}
	if err == nil {
		// The writing end alone: whether an end waits is said of both ends of its copy.
		err = unix.SetNonblock(d.tty, true)
	}
	if err == nil && user != nil && int(user.Uid) != os.Getuid() {
		for _, f := range []*os.File{theirs[1], theirs[3]} { // for programs that open /dev/stdin and /dev/stdout
			if e := f.Chown(int(user.Uid), -1); e != nil {
				err = fmt.Errorf("give the pipes to their user: %w", e)
			}
		}
	}
	if err != nil {
		closeFiles(theirs)
		d.close()
		return nil, fmt.Errorf("make pipes: %w", err)
	}
	b.descriptors = d
	return theirs, nil
}

// settleInput readies the input for the next command: what has not been read was meant for the last one, and one that
// was ended is opened anew.
func (b *bash) settleInput() {
	b.keys.reopen(func() (int, error) { // the same pipe, which our copy of the other end keeps
		return unix.Open("/proc/self/fd/"+strconv.Itoa(b.unread), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
	var buf [4096]byte
	for {
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(b.unread), Events: unix.POLLIN}}, 0)
		if err != nil || ready == 0 {
			return
		}
		if n, err := unix.Read(b.unread, buf[:]); n <= 0 || err != nil {
			return
		}
	}
}

// feedPiped gives c to the program that runs, or does what the key means.
func (s *Session) feedPiped(c *call) error {
	b := s.shell()
	if b == nil {
		return errClosed
	}
	s.typed = true
	switch {
	case c.key == 'c':
		b.interrupt()
	case c.key == 'd':
		b.keys.end()
	case c.key == '\\':
		b.signal(unix.SIGQUIT)
	case c.key != 0:
		return &sandbox.Error{Code: sandbox.Unsupported, Op: "shell", Err: fmt.Errorf(
			"a session on pipes has no key %s: use C-c, C-d, or a session of kind pty", c.command)}
	case c.command == "Enter":
		return b.press([]byte{'\n'})
	default:
		return b.press([]byte(strings.TrimSuffix(c.Command, "\n") + "\n"))
	}
	return nil
}
