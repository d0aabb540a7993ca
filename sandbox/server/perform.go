package server

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/shell"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// A performance is the doing of one action.
type performance struct {
	out  sandbox.Output    // gets what it prints; nil: nobody
	in   func(interrupter) // is told of what performs it, so that it can be interrupted
	soon bool              // the performer cannot wait: what takes longer than a moment ends with errGoesOn, and goes on by another call
	rest shell.Rest        // what is left to do then, nil if nothing has been done
	of   *shell.Session    // whose rest it is
	at   time.Time         // when it began
}

// errGoesOn says that an action has not ended yet.
var errGoesOn = errors.New("the action goes on")

// perform does what a asks for. The caller has the turn. A panic is an error of code Internal.
func (s *Server) perform(ctx context.Context, a sandbox.Action, p *performance) (o sandbox.Observation, err error) {
	defer func() {
		if why := recover(); why != nil {
			s.log.ErrorContext(ctx, "an action panicked", "action", a.ID, "kind", a.Kind(), "panic", why, "stack", string(debug.Stack()))
			err = &sandbox.Error{Code: sandbox.Internal, Op: "perform", Err: errors.New("a bug in the server, see its log")}
		}
	}()
	switch args := a.Args.(type) {
	case sandbox.RunArgs:
		return s.run(ctx, args, a, p)
	case sandbox.ReadArgs:
		return s.files.Read(s.sessions.main.Cwd(), args)
	case sandbox.WriteArgs:
		return s.files.Write(s.sessions.main.Cwd(), args)
	case sandbox.EditArgs:
		return s.files.Edit(args)
	case sandbox.IPythonArgs:
		return s.cell(ctx, args, a, p.out, p.in)
	case sandbox.BrowseArgs, sandbox.BrowseInteractiveArgs:
		return s.browse(ctx, a, p.in)
	case sandbox.MCPArgs:
		return s.callTool(ctx, args, a, p.in)
	}
	return o, unperformable(a)
}

func (s *Server) run(ctx context.Context, args sandbox.RunArgs, a sandbox.Action, p *performance) (sandbox.Observation, error) {
	if args.IsStatic {
		return s.runStatic(ctx, args, a, p)
	}
	if p.rest != nil {
		return s.runIn(ctx, p.of, args, a, p)
	}
	if p.soon && !s.sessions.has(a.Session) { // it takes a while to start
		return sandbox.Observation{}, errGoesOn
	}
	session, err := s.sessionOf(a)
	if err != nil {
		return sandbox.Observation{}, err
	}
	return s.runIn(ctx, session, args, a, p)
}

// runStatic runs a command in a session of its own.
func (s *Server) runStatic(ctx context.Context, args sandbox.RunArgs, a sandbox.Action, p *performance) (sandbox.Observation, error) {
	session, err := s.sessions.static(args.Cwd)
	if err != nil {
		if sandbox.CodeOf(err) != sandbox.NotFound {
			return sandbox.Observation{}, err
		}
		return unstarted(args, fmt.Sprintf("ERROR: no such directory: %s", args.Cwd)), nil
	}
	defer func() {
		if err := s.sessions.end(session); err != nil {
			s.log.ErrorContext(ctx, "closing a static session", "action", a.ID, "err", err)
		}
	}()
	return s.runIn(ctx, session, args, a, p)
}

// sessionOf is the session that a command runs in.
func (s *Server) sessionOf(a sandbox.Action) (*shell.Session, error) {
	if a.Session == "" {
		return s.sessions.main.get()
	}
	n, _, err := s.sessions.open(a.Session, wire.SessionSpec{Kind: kindPTY}, false)
	if err != nil {
		return nil, err
	}
	return n.session, nil
}

func (s *Server) runIn(ctx context.Context, session *shell.Session, args sandbox.RunArgs, a sandbox.Action, p *performance) (o sandbox.Observation, err error) {
	p.in(session)
	switch {
	case p.rest != nil:
		o, err = p.rest(ctx)
	case p.soon:
		if o, p.rest, err = session.RunSoon(args, a.Timeout, p.out); p.rest != nil || err == shell.ErrNotNow {
			p.of = session
			return o, errGoesOn
		}
	default:
		o, err = session.Run(ctx, args, a.Timeout, p.out)
	}
	p.in(nil)
	if r, ok := o.Result.(sandbox.ErrorResult); ok && r.ErrorID == "" && session.Closed() && ctx.Err() == nil {
		o = sandbox.Failed(sandbox.ErrorInterrupted, "The session was ended, and with it everything that ran in it.")
	}
	return o, err
}

// unstarted is the observation of a command that could not be started. OpenHands clients cannot take an error
// observation as the answer to a hidden command, so it is a run observation.
func unstarted(args sandbox.RunArgs, text string) sandbox.Observation {
	return sandbox.Observation{Content: text, Result: sandbox.RunResult{Command: args.Command, Hidden: args.Hidden,
		Metadata: sandbox.RunMetadata{ExitCode: 1, PID: -1}}}
}

// unperformable is why this server does not perform a; nil if it does.
func unperformable(a sandbox.Action) error {
	switch args := a.Args.(type) {
	case sandbox.RunArgs:
		if !args.IsInput && strings.ContainsRune(args.Command, 0) {
			return refused(sandbox.Invalid, "run", "a command cannot have a NUL byte")
		}
		if strings.ContainsRune(args.Cwd, 0) {
			return refused(sandbox.Invalid, "run", "a path cannot have a NUL byte")
		}
	case sandbox.ReadArgs:
		return nulInPath(args.Kind(), args.Path)
	case sandbox.WriteArgs:
		return nulInPath(args.Kind(), args.Path)
	case sandbox.EditArgs:
		if args.Impl != "oh_aci" && args.Impl != "" {
			return refused(sandbox.Invalid, "edit", "the editor "+args.Impl+" runs at the client")
		}
		return nulInPath(args.Kind(), args.Path)
	case sandbox.IPythonArgs:
	case sandbox.BrowseArgs, sandbox.BrowseInteractiveArgs: // see unbrowsable
	case sandbox.MCPArgs:
	default:
		return refused(sandbox.Invalid, string(a.Kind()), "no sandbox performs it")
	}
	return nil
}

func nulInPath(kind sandbox.Kind, path string) error {
	if strings.ContainsRune(path, 0) {
		return refused(sandbox.Invalid, string(kind), "a path cannot have a NUL byte")
	}
	return nil
}

func refused(code sandbox.Code, op, why string) error {
	return &sandbox.Error{Code: code, Op: op, Err: errors.New(why)}
}

// lastFrame makes the frame that ends an action which has printed so many bytes.
func lastFrame(o sandbox.Observation, err error, printed uint64) []byte {
	const room = 512 // bytes of an observation besides its content and command; a guess that saves a copy
	typ, b := byte(wire.FrameDone), make([]byte, wire.FrameHeader, wire.FrameHeader+len(o.Content)+room)
	if err == nil {
		b = wire.AppendNativeObservation(b, o, time.Now())
	}
	if len(b)-wire.FrameHeader > wire.MaxAnswer {
		err = tooLarge()
	}
	if err != nil {
		typ, b = wire.FrameError, wire.AppendError(b[:wire.FrameHeader], err)
	}
	wire.AppendFrameHeader(b[:0], typ, printed, len(b)-wire.FrameHeader)
	return b
}
