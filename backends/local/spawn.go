package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// spawned is a server that has been started and may not serve yet. Its pipes are our ends; the server knows its own as
// descriptors 3, 4 and 5, and 6.
type spawned struct {
	child   *os.Process
	pidfd   int           // of the child, until process has it
	process *held.Process // nil before it has a home
	ready   *os.File      // it writes a byte when it serves
	key     *os.File      // it reads its key, which the home has too, for the next process
	env     *os.File      // it reads the environment of its programs, which is secret and written nowhere
	order   *os.File      // it reads its command line, if it was started before that was known; else nil
}

// spawn starts the server of a home.
func (d *Driver) spawn(h home, l label, program string, args []string) (*spawned, error) {
	log, err := h.openLog()
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s, err := launch(program, args, environ(d.base(h, l.Mark)), log)
	if err != nil {
		return nil, err
	}
	if s.process, err = d.adopt(h, s.child, s.pidfd); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (h home) openLog() (*os.File, error) {
	return os.OpenFile(h.logFile(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
}

// launch starts a process of the server's program.
func launch(program string, args, environ []string, log *os.File) (_ *spawned, err error) {
	s := &spawned{pidfd: -1}
	var theirs [4]*os.File
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
		if err != nil {
			s.close()
		}
	}()
	if s.ready, theirs[0], err = os.Pipe(); err != nil {
		return nil, err
	}
	if theirs[1], s.key, err = os.Pipe(); err != nil {
		return nil, err
	}
	if theirs[2], s.env, err = os.Pipe(); err != nil {
		return nil, err
	}
	given := theirs[:3]
	if args == nil {
		if theirs[3], s.order, err = os.Pipe(); err != nil {
			return nil, err
		}
		args, given = []string{"await"}, theirs[:]
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = "/" // so that it holds no directory that somebody may want to remove or unmount
	cmd.Env = environ
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = given
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, PidFD: &s.pidfd}
	if err = cmd.Start(); err != nil {
		return nil, err
	}
	s.child = cmd.Process
	return s, nil
}

// await hands over what the server waits for, and returns when it serves. When it does not, it has ended or shall.
func (s *spawned) await(ctx context.Context, key string, env []string) error {
	s.limit(time.Now().Add(startLimit))
	stop := context.AfterFunc(ctx, func() { s.limit(time.Unix(1, 0)) })
	defer stop()
	// Each variable is ended by a NUL byte, which none can have. The key comes last: should we die meanwhile, there is no
	// server whose programs lack some of their environment, and with it their mark.
	_, err := s.env.WriteString(strings.Join(env, "\x00") + "\x00")
	s.env.Close()
	if err == nil {
		_, err = s.key.WriteString(key)
	}
	s.key.Close()
	if err == nil {
		_, err = s.ready.Read(make([]byte, 1))
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return coded{sandbox.Canceled, fmt.Errorf("before sandboxd was ready: %w", context.Cause(ctx))}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return coded{sandbox.Unavailable, fmt.Errorf("sandboxd is not ready after %v", startLimit)}
	case !errors.Is(err, io.EOF) && !errors.Is(err, syscall.EPIPE):
		return err
	}
	s.process.Kill() // one that closes its pipes and goes on is as useless as one that ends
	exit, _ := s.process.Ended()
	return coded{sandbox.Unavailable, fmt.Errorf("sandboxd %v before it was ready", told(exit))}
}

// limit bounds the waiting on the pipes.
func (s *spawned) limit(t time.Time) {
	s.ready.SetReadDeadline(t)
	s.key.SetWriteDeadline(t)
	s.env.SetWriteDeadline(t)
}

// close closes the pipes; the server goes on.
func (s *spawned) close() {
	for _, f := range []*os.File{s.ready, s.key, s.env, s.order} {
		f.Close() // of a nil file, or one closed before, an error that says so
	}
}

// startLimit is how long a server may take to serve, if the caller has more patience. The shell gives a .bashrc 20 s, and
// then starts without it.
const startLimit = time.Minute

// adopt takes the new child into those held and notes who it is. If it cannot, the child is killed.
func (d *Driver) adopt(h home, child *os.Process, fd int) (*held.Process, error) {
	p, err := held.Hold(child.Pid, fd, h.exitFile())
	if err == nil {
		if err = held.WriteJSON(h.pidFile(), p.Identity); err == nil {
			err = d.keep(p)
		}
		if err == nil {
			return p, child.Release()
		}
		p.Drop()
	} else if fd >= 0 {
		unix.Close(fd)
	}
	child.Kill()
	child.Wait()
	return nil, err
}

func arguments(h home, l label, spec sandbox.Spec, b bounds) []string {
	args := []string{
		"--listen", "unix:" + l.Socket,
		"--working-dir", l.Workspace,
		"--state-dir", h.stateDir(),
		"--key-file", "/dev/fd/4",
		"--env-file", "/dev/fd/5",
		"--owner", spec.Owner,
		"--epoch", strconv.FormatUint(spec.Epoch, 10),
		"--ready-fd", "3",
		"--plugins", "agent_skills", // what a kernel has beside IPython; costs nothing before there is one
	}
	switch {
	case spec.OrphanAfter < 0:
		args = append(args, "--keep")
	case spec.OrphanAfter > 0:
		args = append(args, "--orphan-after", spec.OrphanAfter.String())
	}
	if l.Cgroup != "" {
		args = append(args, "--cgroup", l.Cgroup)
	}
	if b.user > 0 {
		args = append(args, "--processes", strconv.Itoa(b.user))
	}
	return args
}

// lastWords are the last lines of a log, as the end of an error's text.
func lastWords(file string) string {
	const most = 2048 // bytes: the last lines, which tell why; a panic's first ones would need more than anybody reads
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	if len(b) > most {
		b = b[len(b)-most:]
		if _, rest, ok := strings.Cut(string(b), "\n"); ok {
			b = []byte(rest)
		}
	}
	text := strings.TrimSpace(string(b))
	if text == "" {
		return "; it said nothing"
	}
	return "; it said:\n" + text
}
