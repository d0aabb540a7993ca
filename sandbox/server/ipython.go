package server

import (
	"context"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/kernel"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

func (s *Server) newKernels() *kernel.Kernels {
	return kernel.New(kernel.Config{Child: s.childConfig(), Env: s.programEnv, Mark: s.config.fileMark(),
		Skills: s.config.has("agent_skills"), Log: s.log})
}

// programEnv is the environment of programs that start now.
func (s *Server) programEnv() []string {
	if !s.isReady() {
		return s.config.environment()
	}
	return s.sessions.settings().Env
}

// startKernel starts the main kernel if a client has asked for it, so that it need not wait at its first cell. One that
// cannot be started is said to be so by every cell. The channel is closed when that is over.
func (s *Server) startKernel() <-chan struct{} {
	over := make(chan struct{})
	if !s.config.has("jupyter") {
		close(over)
		return over
	}
	s.working.Go(func() {
		defer close(over)
		if err := s.tools.kernels.Start(s.life, kernel.Main, "", s.config.Dir); err != nil && s.life.Err() == nil {
			s.log.Warn("no kernel for cells of Python", "err", err)
		}
	})
	return over
}

// kernelState tells of the main kernel as of a plugin.
func (s *Server) kernelState() (state, why string) {
	switch i, err := s.tools.kernels.Info(kernel.Main); {
	case err == nil && i.State == "dead":
		return "off", i.Ending + "; the next cell starts it again"
	case err == nil && i.State == "starting", err != nil && !s.isReady():
		return "starting", ""
	}
	return "ready", "" // one that a client has stopped is started by the next cell
}

// cell performs one cell.
func (s *Server) cell(ctx context.Context, args sandbox.IPythonArgs, a sandbox.Action, out sandbox.Output, in func(interrupter)) (sandbox.Observation, error) {
	in(namedKernel{s.tools.kernels, a.Session})
	defer in(nil)
	return s.tools.kernels.Run(ctx, a.Session, args, a.Timeout, s.sessions.main.Cwd(), out)
}

// A namedKernel is whichever kernel has the name.
type namedKernel struct {
	all  *kernel.Kernels
	name string
}

func (k namedKernel) Interrupt() error { return k.all.Interrupt(k.name) }

// plainCell gives the observation of a cell in the form that OpenHands' clients take: they know of no displays, and while
// they connect they run a cell and give up on any answer but an observation.
func plainCell(args sandbox.IPythonArgs, o sandbox.Observation, err error) sandbox.Observation {
	if err != nil {
		return sandbox.Observation{Content: "ERROR: " + textOf(err), Result: sandbox.IPythonResult{Code: args.Code}}
	}
	if r, ok := o.Result.(sandbox.IPythonResult); ok {
		r.Displays = nil
		o.Result = r
	}
	return o
}

// kernelRoutes are those of kernels.
func (s *Server) kernelRoutes() routes {
	return routes{
		{path: wire.PathKernels, methods: map[string]func(asked){"GET": s.listKernels}},
		{path: wire.PathKernels + "/", methods: map[string]func(asked){"GET": s.getKernel, "PUT": s.putKernel, "DELETE": s.deleteKernel, "POST": s.postKernel}},
	}
}

func (s *Server) listKernels(a asked) {
	list := []wire.Kernel{}
	for _, i := range s.tools.kernels.List() {
		list = append(list, wireKernel(i))
	}
	answerJSON(a.RequestCtx, fasthttp.StatusOK, list)
}

func wireKernel(i kernel.Info) wire.Kernel {
	return wire.Kernel{Name: i.Name, Language: i.Language, State: i.State, PID: i.PID, Started: i.Started, Cells: i.Cells, Error: i.Ending}
}

func (s *Server) getKernel(a asked) {
	i, err := s.tools.kernels.Info(a.rest)
	if err != nil {
		fail(a.RequestCtx, err)
		return
	}
	answerJSON(a.RequestCtx, fasthttp.StatusOK, wireKernel(i))
}

func (s *Server) putKernel(a asked) {
	ctx := a.RequestCtx
	b, err := s.body(ctx)
	if err != nil {
		s.failBody(ctx, err)
		return
	}
	var spec wire.KernelSpec
	if err = decodeSpec("kernel", b, &spec); err == nil {
		err = checkKernelName(a.rest)
	}
	if err == nil {
		err = s.fence(a.epoch) // the body may have taken long
	}
	if err != nil {
		fail(ctx, err)
		return
	}
	status := fasthttp.StatusOK
	if _, err := s.tools.kernels.Info(a.rest); err != nil {
		status = fasthttp.StatusCreated
	}
	if !s.enter() {
		fail(ctx, errStopping)
		return
	}
	defer s.working.Done()
	if err := s.tools.kernels.Start(s.life, a.rest, spec.Language, s.sessions.main.Cwd()); err != nil {
		fail(ctx, err)
		return
	}
	i, err := s.tools.kernels.Info(a.rest)
	if err != nil {
		fail(ctx, err)
		return
	}
	answerJSON(ctx, status, wireKernel(i))
}

// checkKernelName says whether a kernel may have the name. Code: Invalid.
func checkKernelName(name string) error {
	if name == "" {
		return refused(sandbox.Invalid, "kernel", "its name is missing: the main one is called "+kernel.Main)
	}
	return sandbox.CheckSession(name)
}

func (s *Server) deleteKernel(a asked) {
	s.endOfKernel(a, func() error { return s.tools.kernels.Stop(s.life, a.rest) })
}

// postKernel interrupts or restarts a kernel.
func (s *Server) postKernel(a asked) {
	if name, ok := strings.CutSuffix(a.rest, wire.SuffixInterrupt); ok {
		s.endOfKernel(a, func() error { return s.tools.kernels.Interrupt(name) })
		return
	}
	name, ok := strings.CutSuffix(a.rest, wire.SuffixRestart)
	if !ok {
		fail(a.RequestCtx, refused(sandbox.NotFound, "server", "no such route: GET /openapi.json lists them"))
		return
	}
	s.endOfKernel(a, func() error { return s.tools.kernels.Restart(s.life, name, s.sessions.main.Cwd()) })
}

// endOfKernel does what has no answer but that it is done.
func (s *Server) endOfKernel(a asked, do func() error) {
	if !s.enter() {
		fail(a.RequestCtx, errStopping)
		return
	}
	defer s.working.Done()
	if err := do(); err != nil {
		fail(a.RequestCtx, err)
		return
	}
	a.SetStatusCode(fasthttp.StatusNoContent)
}
