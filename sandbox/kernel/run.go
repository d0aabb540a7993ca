package kernel

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// Run performs one cell in the kernel of that name, which is started if it does not run. cwd is the main shell's working
// directory: the kernel changes to it if the shell's has changed since the last cell. After timeout, unless it is 0, the
// kernel is interrupted and the observation says so; starting counts. out may be nil; it is not called after Run has
// returned. When ctx ends the observation is one of failure, and the cell goes on.
//
// Errors mean that the cell has not run. Codes: Unsupported (no ipykernel), NotFound, Unavailable, Exhausted.
func (ks *Kernels) Run(ctx context.Context, name string, a sandbox.IPythonArgs, timeout time.Duration, cwd string, out sandbox.Output) (sandbox.Observation, error) {
	r := run{args: a, cwd: cwd, cell: newCell("", out)}
	bounded := ctx
	if timeout != 0 {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	err := r.do(bounded, ks, name)
	r.cell.abandon()
	switch {
	case err == nil:
		return r.observation(), nil
	case ctx.Err() != nil:
		return sandbox.Failed("", "The server of the sandbox was stopped while the cell was waiting or running."), nil
	case bounded.Err() != nil:
		r.cell = newCell("", nil)
		r.cell.print("[Execution timed out (" + seconds(timeout) + " seconds).]")
		return r.observation(), nil
	}
	return sandbox.Observation{}, err
}

// A run is the performing of one cell.
type run struct {
	args   sandbox.IPythonArgs
	cwd    string
	cell   *cell
	kernel *kernel // nil until its turn has come
	python string  // the interpreter that performed it
}

// do performs the cell. The error is ctx's, or says why nothing was performed.
func (r *run) do(ctx context.Context, ks *Kernels, name string) error {
	k, err := ks.turn(ctx, name, DefaultLanguage)
	if err != nil {
		return err
	}
	r.kernel = k
	p, lost, err := k.alive(ctx, r.cwd)
	if errors.Is(err, errStarting) {
		return ctx.Err()
	}
	defer k.leave()
	if err != nil {
		return err
	}
	r.python = p.executable
	if lost != "" {
		r.cell.print("[The kernel had ended since the last cell: " + lost + ". This cell runs in a new one; variables and imports of earlier cells are lost.]\n")
	}
	r.cell.id = p.nextID()
	p.await(r.cell)
	p.count()
	defer p.forget(r.cell)
	if err := r.send(p); err != nil {
		return &sandbox.Error{Code: sandbox.Unavailable, Op: "kernel.Run", Err: fmt.Errorf("the kernel takes no cells: %w; restart it", err)}
	}
	return r.wait(ctx, p)
}

func (r *run) send(p *process) error {
	if err := r.kernel.sync(p, r.cwd); err != nil {
		return err
	}
	err := p.send(p.shell, r.cell.id, "execute_request", executeRequest{Code: r.args.Code, Expressions: map[string]string{}})
	select {
	case <-p.gone: // which is why; wait says so
		return nil
	default:
		return err
	}
}

const (
	// replyGrace is how long the answer is waited for when all output has come: it says little, and a cell that was
	// interrupted at the wrong moment gets none.
	replyGrace = time.Second
	// idleGrace is how long after the answer, and after the last of the output, the end of the output is waited for. A
	// kernel that prints faster than it is read may lose some, the end too; ours does not, but one message of 40 MB takes a busy
	// machine longer.
	idleGrace     = 5 * time.Second
	idleGraceOurs = time.Minute
)

// wait waits for the end of the cell.
func (r *run) wait(ctx context.Context, p *process) error {
	c := r.cell
	replied := c.replied
	grace := idleGrace
	if p.launch.prog.ours {
		grace = idleGraceOurs
	}
	var late <-chan time.Time
	for {
		select {
		case <-c.idle:
			select {
			case <-c.replied:
			case <-time.After(replyGrace):
			case <-p.gone:
			}
			return nil
		case <-replied:
			replied, late = nil, time.After(grace)
		case <-c.moved:
			if late != nil {
				late = time.After(grace)
			}
		case <-late:
			return nil
		case <-p.gone:
			<-p.dead // when all it has printed is here
			r.died(p)
			return nil
		case <-ctx.Done():
			_ = p.interrupt() // or it is over just now
			return ctx.Err()
		}
	}
}

// died notes in the output that the kernel ended before the cell.
func (r *run) died(p *process) {
	select {
	case <-r.cell.idle: // after it, and the next cell says so
		return
	default:
	}
	if r.kernel.stopped() {
		r.cell.note("[The kernel was stopped or restarted while the cell was running.]")
		return
	}
	r.cell.note("[The kernel died while the cell was running: " + p.ending() + p.tail.lines() +
		"]\n[Variables and imports are lost. The next cell starts a new kernel.]")
}

// observation is what was seen of the cell.
func (r *run) observation() sandbox.Observation {
	content, images, displays := r.cell.result()
	content = strings.TrimRight(content, " \t\n\r\v\f")
	if r.args.IncludeExtra {
		content += "\n[Jupyter current working directory: " + r.cwd + "]"
		if r.kernel == nil || r.kernel.language == DefaultLanguage {
			content += "\n[Jupyter Python interpreter: " + r.python + "]"
		} else {
			content += "\n[Jupyter kernel: " + r.kernel.language + "]"
		}
	}
	return sandbox.Observation{Content: content, Result: sandbox.IPythonResult{Code: r.args.Code, ImageURLs: images, Displays: displays}}
}

// seconds is a duration as Python prints a float of seconds.
func seconds(d time.Duration) string {
	s := strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
