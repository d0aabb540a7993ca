package local

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/sandtree/sandtree/backends/internal/homes"
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
	s, err := launch(program, args, homes.Environ(d.base(h, l.Mark)), log)
	if err != nil {
		return nil, err
	}
	if s.process, err = d.homes.Adopt(h.Home, s.child, s.pidfd, nil); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (h home) openLog() (*os.File, error) {
	return os.OpenFile(h.LogFile(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
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

// ours are our ends of the pipes.
func (s *spawned) ours() homes.Pipes {
	return homes.Pipes{Ready: s.ready, Told: [3]*os.File{s.env, s.key, s.order}}
}

// await hands over what the server waits for, and returns when it serves. When it does not, it has ended or shall.
func (s *spawned) await(ctx context.Context, key string, env []string) error {
	defer s.ours().Within(ctx)()
	return s.ours().Await(ctx, s.process, homes.Tell(s.env, s.key, env, key), homes.Told)
}

// close closes the pipes; the server goes on.
func (s *spawned) close() { s.ours().Close() }

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
