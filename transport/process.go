package transport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// Outputs receive what a process writes, as it is produced; nil is not told. Each stream has offsets of its own, as
// sandbox.Output says.
type Outputs struct{ Stdout, Stderr sandbox.Output }

// Exec runs a command outside of any session and waits for its end. A command without an ID gets a fresh one, so that it
// runs once: when the answer is cut off, Exec asks for the rest of the output, as Do does. ctx bounds the wait, not the
// command, which Timeout does. Codes: those of Do, and NotFound (there is no such program).
func (c *Client) Exec(ctx context.Context, cmd wire.Command, out Outputs) (wire.Exit, error) {
	if cmd.ID == "" {
		cmd.ID = sandbox.NewActionID()
	}
	body, err := json.Marshal(cmd)
	if err == nil {
		err = sandbox.CheckActionID(cmd.ID)
	}
	if err != nil {
		return wire.Exit{}, c.error("Exec", &failure{code: sandbox.Invalid, err: err})
	}
	t := tail{c: c, id: cmd.ID, body: body, out: out}
	return t.run(ctx, "Exec")
}

// StartProcess starts a command in the background. Codes: Invalid, Conflict (the ID was that of another), NotFound,
// Exhausted, and those of any request.
func (c *Client) StartProcess(ctx context.Context, cmd wire.Command) (p wire.Process, err error) {
	if cmd.ID == "" {
		cmd.ID = sandbox.NewActionID()
	}
	err = c.put(ctx, question{op: "StartProcess", method: "POST", target: wire.PathProcesses, in: cmd, out: &p})
	return p, err
}

// FollowProcess hands on what a process writes, from the offsets on, until it has exited. Code: NotFound.
func (c *Client) FollowProcess(ctx context.Context, id string, stdout, stderr uint64, out Outputs) (wire.Exit, error) {
	if err := sandbox.CheckActionID(id); err != nil {
		return wire.Exit{}, c.error("FollowProcess", &failure{code: sandbox.Invalid, err: err})
	}
	t := tail{c: c, id: id, next: [2]uint64{stdout, stderr}, out: out}
	return t.run(ctx, "FollowProcess")
}

// Processes lists those that were started and are not forgotten.
func (c *Client) Processes(ctx context.Context) (all []wire.Process, err error) {
	err = c.put(ctx, question{op: "Processes", method: "GET", target: wire.PathProcesses, out: &all})
	return all, err
}

// Process tells of one. Code: NotFound.
func (c *Client) Process(ctx context.Context, id string) (p wire.Process, err error) {
	target, err := c.below("Process", wire.PathProcesses, id, "")
	if err == nil {
		err = c.put(ctx, question{op: "Process", method: "GET", target: target, out: &p})
	}
	return p, err
}

// longPoll is how long one request of WaitProcess waits; shorter than the silence that is taken for death.
const longPoll = fileStall / 2

// WaitProcess waits until a process has exited, or ctx ends. Code: NotFound.
func (c *Client) WaitProcess(ctx context.Context, id string) (p wire.Process, err error) {
	target, err := c.below("WaitProcess", wire.PathProcesses, id, wire.SuffixWait+query("timeout", strconv.Itoa(int(longPoll/time.Second))))
	for err == nil && p.Exit == nil {
		err = c.put(ctx, question{op: "WaitProcess", method: "GET", target: target, out: &p})
	}
	return p, err
}

// SignalProcess sends a signal. Codes: Invalid, NotFound, Conflict (it has exited).
func (c *Client) SignalProcess(ctx context.Context, id string, s wire.Signal) error {
	target, err := c.below("SignalProcess", wire.PathProcesses, id, wire.SuffixSignal)
	if err != nil {
		return err
	}
	return c.put(ctx, question{op: "SignalProcess", method: "POST", target: target, in: s, once: true})
}

// WriteProcess writes p to the stdin of a process, as what stands at offset of all its input: what has come before is not
// written again, so a repetition does no harm. end closes stdin after it. Codes: NotFound, Conflict (stdin is closed).
func (c *Client) WriteProcess(ctx context.Context, id string, offset uint64, p []byte, end bool) error {
	args := []string{"offset", strconv.FormatUint(offset, 10)}
	if end {
		args = append(args, "eof", "true")
	}
	target, err := c.below("WriteProcess", wire.PathProcesses, id, wire.SuffixInput+query(args...))
	if err != nil {
		return err
	}
	_, err = c.call(ctx, "WriteProcess", &request{method: "POST", target: target, body: p, quiet: fileStall, since: native})
	return err
}

// ResizeProcess tells a process on a terminal its size in characters. Codes: NotFound, Conflict.
func (c *Client) ResizeProcess(ctx context.Context, id string, cols, rows uint16) error {
	target, err := c.below("ResizeProcess", wire.PathProcesses, id, wire.SuffixResize)
	if err != nil {
		return err
	}
	size := struct {
		Cols uint16 `json:"cols"`
		Rows uint16 `json:"rows"`
	}{cols, rows}
	return c.put(ctx, question{op: "ResizeProcess", method: "POST", target: target, in: size})
}

// EndProcess kills what is left of a process and forgets it. Code: NotFound.
func (c *Client) EndProcess(ctx context.Context, id string) error {
	target, err := c.below("EndProcess", wire.PathProcesses, id, "")
	if err != nil {
		return err
	}
	return c.put(ctx, question{op: "EndProcess", method: "DELETE", target: target, gone: true})
}

// A tail follows one process through any number of connections to its end.
type tail struct {
	c    *Client
	id   string
	body []byte // what starts it; nil if it must not be started
	out  Outputs

	next  [2]uint64 // offsets of the next byte of stdout and stderr
	sent  bool      // as of pursuit
	heard bool
	moved bool
	exit  wire.Exit
}

func (t *tail) run(ctx context.Context, op string) (wire.Exit, error) {
	var n tries
	for {
		f := t.try(ctx)
		if f == nil {
			return t.exit, nil
		}
		if t.moved {
			n.progress()
		}
		if f = t.c.pause(ctx, &n, f); f != nil {
			return wire.Exit{}, t.c.error(op, t.verdict(f))
		}
		if t.heard {
			count(&t.c.counts.resumes, &t.c.config.Figures.Resumes)
		}
	}
}

// verdict corrects a failure by what earlier tries have shown.
func (t *tail) verdict(f *failure) *failure {
	if t.body != nil && t.heard && f.code == sandbox.NotFound && !t.moved {
		return &failure{code: sandbox.Lost, err: fmt.Errorf("the sandbox has forgotten the process: %w", f.err)}
	}
	if (f.code == sandbox.Unavailable || f.code == sandbox.Exhausted) && (t.sent || t.heard) {
		return &failure{code: sandbox.Lost, err: f.err}
	}
	return f
}

func (t *tail) try(ctx context.Context) *failure {
	t.moved = false
	args := []string{"offset", strconv.FormatUint(t.next[0], 10), "stderr", strconv.FormatUint(t.next[1], 10)}
	switch { // what nobody is told need not be sent
	case t.out.Stdout == nil && t.out.Stderr != nil:
		args = append(args, "stream", "stderr")
	case t.out.Stderr == nil && t.out.Stdout != nil:
		args = append(args, "stream", "stdout")
	}
	r := &request{method: "GET", quiet: t.c.config.Stall, since: native, control: true,
		target: wire.PathProcesses + "/" + t.id + wire.SuffixOutput + query(args...)}
	if t.body != nil && !t.heard {
		r.method, r.target, r.body, r.control = "POST", wire.PathExec, t.body, false
	}
	k, f := t.c.open(ctx, r)
	if t.body != nil && !t.heard {
		t.sent = t.sent || r.sent && (f == nil || !f.answered)
	}
	if f != nil {
		return f
	}
	reusable := false
	defer func() { t.c.release(k, r, reusable) }() // deferred: out may panic
	t.heard, k.framed = true, true
	f = t.follow(ctx, k)
	reusable = f == nil
	return f
}

func (t *tail) follow(ctx context.Context, k *conn) *failure {
	for {
		frame, err := k.frames.Next()
		if err != nil {
			if err == io.EOF && k.broken == nil {
				k.broken = errors.New("the stream ended early")
			}
			return t.c.cut(ctx, k, "read the answer", err)
		}
		t.moved = true
		switch frame.Type {
		case wire.FrameOutput:
			err = hand(&t.next[0], frame, t.out.Stdout)
		case wire.FrameStderr:
			err = hand(&t.next[1], frame, t.out.Stderr)
		case wire.FrameExit:
			if err = json.Unmarshal(frame.Payload, &t.exit); err == nil {
				return nil
			}
		case wire.FrameError:
			return said(wire.ParseError(frame.Payload, 0), true)
		}
		if err != nil {
			return t.c.cut(ctx, k, "read the answer", err)
		}
	}
}
