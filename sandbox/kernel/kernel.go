package kernel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/sandtree/sandtree/sandbox"
)

// A kernel performs the cells of one name, one at a time, in one process after another.
//
//	absent ──start──▶ running ──it ends──▶ dead ──next cell: start──▶ running
//	           │         └──restart: end and start──▶ running
//	           └─fails─▶ dead
type kernel struct {
	all      *Kernels
	name     string
	language string
	turn     chan struct{} // has room for one: held by who starts, ends or uses the process
	synced   state         // what the process was told of the shell; only with the turn
	removed  bool          // another one may have the name by now; only with the turn

	mu      sync.Mutex
	process *process // nil if none was started
	failed  error    // why the latest start gave none
	stop    bool     // it is being ended on request, so that nothing is lost
}

// A state is what a kernel shares with the main shell.
type state struct {
	cwd string
	env []string
}

func newKernel(all *Kernels, name, language string) *kernel {
	return &kernel{all: all, name: name, language: language, turn: make(chan struct{}, 1)}
}

func (k *kernel) take(ctx context.Context) error {
	select {
	case k.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *kernel) leave() { <-k.turn }

func (k *kernel) current() *process {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.process
}

// alive gives a process that runs, and starts one if there is none. lost is how the one before has ended, "" if nobody
// misses it. The caller has the turn; if ctx ends before the process has started, it goes on starting and keeps the
// turn until it has: the error is errStarting.
func (k *kernel) alive(ctx context.Context, cwd string) (p *process, lost string, err error) {
	if p = k.current(); p != nil {
		select {
		case <-p.gone:
			_ = p.close()
			if !k.stopped() { // or a cell has come before who wanted the end could take the turn
				lost = p.ending()
			}
		default:
			return p, "", nil
		}
	}
	started := make(chan error, 1)
	if !k.all.work(func() { started <- k.start(k.all.life, cwd) }) {
		return nil, "", stopping()
	}
	select {
	case err := <-started:
		return k.current(), lost, err
	case <-ctx.Done():
		go func() { // ends with the start
			<-started
			k.leave()
		}()
		return nil, "", errStarting
	}
}

var errStarting = errors.New("the kernel has not started yet")

// start starts a process in place of the one that has ended. The caller has the turn.
func (k *kernel) start(ctx context.Context, cwd string) error {
	k.mu.Lock()
	k.failed = nil
	k.mu.Unlock()
	env := k.all.config.Env()
	p, err := k.all.launch(ctx, k.language, env, cwd)
	k.mu.Lock()
	k.failed = err
	if err == nil {
		k.process, k.stop = p, false
	}
	k.mu.Unlock()
	if err != nil {
		return err
	}
	k.synced = state{cwd, env}
	return nil
}

// end ends the process. The caller need not have the turn: a cell that is running ends with it.
func (k *kernel) end() error {
	k.mu.Lock()
	p := k.process
	k.stop = p != nil
	k.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.close()
}

// stopped says whether the process has been ended on request.
func (k *kernel) stopped() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stop
}

// forget lets go of a process that has been ended. The caller has the turn.
func (k *kernel) forget() {
	k.mu.Lock()
	k.process, k.stop = nil, false
	k.mu.Unlock()
}

// interrupt asks the cell that is running to give up. Code: Conflict if none is.
func (k *kernel) interrupt() error {
	if p := k.current(); p != nil {
		return p.interrupt()
	}
	return nothing()
}

// sync tells the process what has changed at the shell since it was told the last time: it performs that before what is
// sent to it next.
func (k *kernel) sync(p *process, cwd string) error {
	env := k.all.config.Env()
	code := ""
	if cwd != k.synced.cwd {
		code = "__import__('os').chdir(" + pythonBytes(cwd) + ")\n"
	}
	if !slices.Equal(env, k.synced.env) {
		for _, v := range env {
			if name, value, _ := strings.Cut(v, "="); !slices.Contains(k.synced.env, v) {
				code = fmt.Sprintf("__import__('os').environb[%s] = %s\n", pythonBytes(name), pythonBytes(value)) + code
			}
		}
	}
	k.synced = state{cwd, env}
	if code == "" || !p.launch.prog.ours {
		return nil
	}
	return p.send(p.shell, p.nextID(), "execute_request", executeRequest{Code: code, Silent: true, Expressions: map[string]string{}})
}

// pythonBytes is a literal of Python's bytes.
func pythonBytes(s string) string {
	b := []byte("b'")
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '\'' || c == '\\' {
			b = fmt.Appendf(b, `\x%02x`, c)
		} else {
			b = append(b, c)
		}
	}
	return string(append(b, '\''))
}

func textOfError(err error) string {
	if e, ok := errors.AsType[*sandbox.Error](err); ok && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}

// replace ends the process, with the cell that is running, and does then in its place.
func (k *kernel) replace(ctx context.Context, then func() error) error {
	old := k.current()
	if err := k.end(); err != nil {
		k.all.config.Log.Error("ending a kernel", "kernel", k.name, "err", err)
	}
	if err := k.take(ctx); err != nil {
		return canceled(err)
	}
	if k.current() == old { // or it has been started again meanwhile
		k.forget()
	}
	err := then()
	if errors.Is(err, errStarting) {
		return canceled(ctx.Err())
	}
	k.leave()
	return err
}

func (k *kernel) info() Info {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := Info{Name: k.name, Language: k.language, State: "starting"}
	p := k.process
	switch {
	case k.failed != nil:
		i.State, i.Ending = "dead", textOfError(k.failed)
		return i
	case p == nil:
		return i
	}
	i.Executable, i.Started = p.executable, p.begun
	if i.State, i.Cells = p.state(); i.State == "dead" {
		i.Ending = p.ending()
	} else {
		i.PID = p.child.PID
	}
	return i
}
