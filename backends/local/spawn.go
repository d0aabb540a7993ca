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

	"github.com/sandtree/sandtree/sandbox"
)

// spawn starts a server and returns when it serves. If it does not, it has ended when spawn returns.
func (d *Driver) spawn(ctx context.Context, h home, l label, spec sandbox.Spec, program string, b bounds) (*process, error) {
	if err := writeEnv(h.envFile(), d.programs(h, spec, l.Mark)); err != nil {
		return nil, err
	}
	defer os.Remove(h.envFile()) // the server has read it when it serves, and it holds secrets
	log, err := os.OpenFile(h.logFile(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	ready, tell, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()

	fd := -1
	cmd := exec.Command(program, arguments(h, l, spec, b)...)
	cmd.Dir = "/" // so that it holds no directory that somebody may want to remove or unmount
	cmd.Env = environ(d.base(h, l.Mark))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{tell} // number 3
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, PidFD: &fd}
	err = cmd.Start()
	tell.Close()
	if err != nil {
		return nil, err
	}
	p, err := d.adopt(h, cmd.Process, fd)
	if err != nil {
		return nil, err
	}
	if err := p.awaitReady(ctx, ready); err != nil {
		p.kill()
		return nil, fmt.Errorf("%w%s", err, lastWords(h.logFile()))
	}
	return p, nil
}

// adopt takes the new child into those held and notes who it is. If it cannot, the child is killed.
func (d *Driver) adopt(h home, child *os.Process, fd int) (*process, error) {
	id, err := identify(child.Pid)
	if err == nil && fd < 0 {
		err = errors.New("the kernel gives no pidfd: Linux 5.3 is needed")
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err == nil {
		err = writeJSON(h.pidFile(), id)
	}
	if err == nil {
		p := hold(id, fd, h.exitFile())
		if err = d.keep(p); err == nil {
			return p, child.Release()
		}
		p.fd.Close()
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
		"--key-file", h.keyFile(),
		"--env-file", h.envFile(),
		"--owner", spec.Owner,
		"--epoch", strconv.FormatUint(spec.Epoch, 10),
		"--ready-fd", "3",
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

// writeEnv writes variables, each ended by a NUL byte, which no value can have, into a file for this user only.
func writeEnv(file string, env []string) error {
	return replace(file, []byte(strings.Join(env, "\x00")+"\x00"))
}

// startLimit is how long a server may take to serve, if the caller has more patience. The shell gives a .bashrc 20 s, and
// then starts without it.
const startLimit = time.Minute

// awaitReady returns when the server has said that it serves, which it does by one byte. If it ends before, so does
// the pipe.
func (p *process) awaitReady(ctx context.Context, ready *os.File) error {
	ready.SetReadDeadline(time.Now().Add(startLimit))
	stop := context.AfterFunc(ctx, func() { ready.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	switch _, err := ready.Read(make([]byte, 1)); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return coded{sandbox.Canceled, fmt.Errorf("before sandboxd was ready: %w", context.Cause(ctx))}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return coded{sandbox.Unavailable, fmt.Errorf("sandboxd is not ready after %v", startLimit)}
	case !errors.Is(err, io.EOF):
		return err
	}
	p.signal(syscall.SIGKILL) // one that closes the pipe and goes on is as useless as one that ends
	<-p.letgo
	return coded{sandbox.Unavailable, fmt.Errorf("sandboxd %v before it was ready", p.exit)}
}

// kill ends the server by force and waits for it.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.letgo
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
