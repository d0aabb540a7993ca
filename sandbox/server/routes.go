package server

import (
	"bytes"
	"slices"

	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

// asked is a native request.
type asked struct {
	*fasthttp.RequestCtx
	rest  string // of the path, below the route's
	epoch uint64 // of the controller that asks, 0 if it says none; to be looked at again (fence) when a long body has come

	version int // of the form that it is in, 0 if it does not say
}

// A route answers the native requests for a path, and for all that is below it if it ends in "/".
type route struct {
	path    string
	methods map[string]func(asked) // by method; those not named are refused
	fences  bool                   // do answers every method, and looks at the epoch itself
	early   bool                   // may be asked before the server is ready, and in any version
	do      func(asked)
}

// routes are sorted: those that others begin with come last, so that the closest is found.
type routes []route

func (s *Server) newRoutes() routes {
	all := routes{
		{path: wire.PathActions, fences: true, do: s.nativeAction},
		{path: wire.PathVersion, early: true, methods: map[string]func(asked){"GET": s.version}},
		{path: wire.PathLease, fences: true, do: s.lease},
		{path: wire.PathTerminal, methods: map[string]func(asked){"GET": s.terminal, "DELETE": s.deleteTerminal}},
		{path: wire.PathSessions, methods: map[string]func(asked){"GET": s.listSessions}},
		{path: wire.PathSessions + "/", methods: map[string]func(asked){"GET": s.getSession, "PUT": s.putSession, "DELETE": s.deleteSession}},
		{path: wire.PathExec, methods: map[string]func(asked){"POST": s.exec}},
		{path: wire.PathProcesses, methods: map[string]func(asked){"GET": s.listProcesses, "POST": s.postProcess}},
		{path: wire.PathProcesses + "/", methods: map[string]func(asked){"GET": s.oneProcess, "PUT": s.oneProcess, "POST": s.oneProcess, "DELETE": s.oneProcess}},
		{path: wire.PathEnv, methods: map[string]func(asked){"PUT": s.putEnv}},
	}
	all = append(all, s.fileRoutes()...)
	all = append(all, s.lifeRoutes()...)
	all = append(all, s.kernelRoutes()...)
	all = append(all, s.mcpRoutes()...)
	slices.SortStableFunc(all, func(a, b route) int { return len(b.path) - len(a.path) })
	return all
}

func (r routes) find(path []byte) (*route, bool) {
	for i := range r {
		p := r[i].path
		if p[len(p)-1] == '/' && bytes.HasPrefix(path, []byte(p)) || string(path) == p {
			return &r[i], true
		}
	}
	return nil, false
}
