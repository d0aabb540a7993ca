package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

// lifeRoutes are those about the sandbox as a whole.
func (s *Server) lifeRoutes() routes {
	return routes{
		{path: wire.PathInfo, methods: map[string]func(asked){"GET": s.info}},
		{path: wire.PathMetrics, methods: map[string]func(asked){"GET": s.metrics}},
		{path: wire.PathPorts, methods: map[string]func(asked){"GET": s.listPorts}},
		{path: wire.PathPorts + "/", fences: true, do: s.port},
	}
}

// listPorts answers with the ports that programs of the sandbox listen at.
func (s *Server) listPorts(a asked) {
	ports, err := s.ports()
	if err != nil {
		fail(a.RequestCtx, err)
		return
	}
	answerJSON(a.RequestCtx, fasthttp.StatusOK, ports)
}

// port answers what is asked of one port: whether something listens there, or hands the request on to it.
func (s *Server) port(a asked) {
	ctx := a.RequestCtx
	if err := s.fence(a.epoch); err != nil {
		fail(ctx, err)
		return
	}
	s.contact.note()
	target, err := parsePort(string(ctx.Request.Header.RequestURI()))
	if err == nil && s.listensAt(target.port) {
		err = refused(sandbox.Invalid, "port", "that is the sandbox's server itself")
	}
	switch {
	case err != nil:
		fail(ctx, err)
	case target.path != "":
		s.forwardPort(ctx, target)
	case !ctx.IsGet():
		wrongMethod(ctx)
	case strings.EqualFold(string(ctx.Request.Header.Peek("Upgrade")), wire.UpgradePort):
		s.tunnelPort(ctx, target.port)
	default:
		s.awaitPort(ctx, target.port)
	}
}

// A portTarget is what a path names.
type portTarget struct {
	port int
	path string // that the program is asked for, with the query, as the client has escaped it; "" asks of the port itself
}

// parsePort reads the first line's path, which unlike the one that routes go by is as the client has sent it: what a
// program is asked for must not be unescaped and escaped again on the way. Code: Invalid.
func parsePort(uri string) (portTarget, error) {
	if scheme, rest, ok := strings.Cut(uri, "://"); ok && !strings.Contains(scheme, "/") { // as a proxy is asked
		uri = rest[min(strings.IndexByte(rest+"/", '/'), len(rest)):]
	}
	rest, ok := strings.CutPrefix(uri, wire.PathPorts+"/")
	number := rest[:min(strings.IndexAny(rest+"/", "/?"), len(rest))]
	n, err := strconv.ParseUint(number, 10, 16)
	if !ok || err != nil || number[0] == '0' {
		return portTarget{}, refused(sandbox.Invalid, "port", fmt.Sprintf("want %s/PORT/… with a port from 1 to 65535", wire.PathPorts))
	}
	t := portTarget{port: int(n)}
	if rest = rest[len(number):]; strings.HasPrefix(rest, "/") {
		t.path = rest
	}
	return t, nil
}

// forwardPort hands the request on to a program. It is asked as if by a client on its own machine, which is what servers
// for development allow by default; where the request came from is in the X-Forwarded headers, and redirections to the
// program's own paths lead through us again.
func (s *Server) forwardPort(ctx *fasthttp.RequestCtx, to portTarget) {
	prefix := ""
	rewrite := func(h *fasthttp.RequestHeader) {
		prefix = string(h.Peek("X-Forwarded-Prefix")) + fmt.Sprintf("%s/%d", wire.PathPorts, to.port)
		h.Set("X-Forwarded-Prefix", prefix)
		if host := h.Host(); len(h.Peek("X-Forwarded-Host")) == 0 && len(host) > 0 {
			h.SetBytesV("X-Forwarded-Host", host)
		}
		if len(h.Peek("X-Forwarded-Proto")) == 0 {
			h.Set("X-Forwarded-Proto", "http")
		}
		if ip, ok := ctx.RemoteAddr().(*net.TCPAddr); ok {
			before := h.Peek("X-Forwarded-For")
			h.Set("X-Forwarded-For", strings.TrimPrefix(string(before)+", "+ip.IP.String(), ", "))
		}
		h.SetHost(net.JoinHostPort("localhost", strconv.Itoa(to.port)))
		h.SetRequestURI(to.path)
	}
	back := func(h *fasthttp.ResponseHeader) {
		if at, ok := ownPath(string(h.Peek("Location")), to.port); ok {
			h.Set("Location", prefix+at)
		}
	}
	dial := func(ctx context.Context) (net.Conn, error) { return dialPort(ctx, to.port) }
	s.forwardBack(ctx, dial, rewrite, back)
}

// ownPath gives the path of an address that leads to the program at port, with what follows it.
func ownPath(location string, port int) (string, bool) {
	for _, host := range []string{"localhost", "127.0.0.1", "[::1]"} {
		if rest, ok := strings.CutPrefix(location, fmt.Sprintf("http://%s:%d", host, port)); ok {
			if rest == "" || strings.ContainsRune("/?#", rune(rest[0])) {
				return "/" + strings.TrimPrefix(rest, "/"), true
			}
		}
	}
	return location, strings.HasPrefix(location, "/") && !strings.HasPrefix(location, "//")
}

// loopback are where programs are reached, the usual one first.
var loopback = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}

// dialPort connects to a port of the sandbox's own, and nowhere else. Codes: Unavailable.
func dialPort(ctx context.Context, port int) (net.Conn, error) {
	var d net.Dialer
	var errs []error
	for _, ip := range loopback {
		conn, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(ip, uint16(port)).String())
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	if errors.Is(errs[0], syscall.ECONNREFUSED) {
		return nil, nobodyAt(port)
	}
	return nil, &sandbox.Error{Code: sandbox.Unavailable, Op: "port", Err: fmt.Errorf("port %d cannot be reached: %w", port, errs[0])}
}

func nobodyAt(port int) error {
	return refused(sandbox.Unavailable, "port", fmt.Sprintf("nothing in the sandbox listens at port %d of 127.0.0.1 or ::1: start the program, "+
		"or ask %s/%d?wait=SECONDS to be told when it listens", port, wire.PathPorts, port))
}

const maxPortWait = 10 * time.Minute

// awaitPort answers with what listens at the port, and waits for it with ?wait=SECONDS.
func (s *Server) awaitPort(ctx *fasthttp.RequestCtx, port int) {
	wait := time.Duration(0)
	if v := ctx.QueryArgs().Peek("wait"); len(v) > 0 {
		seconds, err := strconv.ParseFloat(string(v), 64)
		if err != nil || !(seconds >= 0 && seconds <= maxPortWait.Seconds()) {
			fail(ctx, refused(sandbox.Invalid, "port", fmt.Sprintf("wait %.40q: want seconds, at most %.0f", v, maxPortWait.Seconds())))
			return
		}
		wait = time.Duration(seconds * float64(time.Second))
	}
	s.contact.hold(ctx.Conn())
	defer s.contact.release(ctx.Conn())
	if err := s.untilOpen(ctx.Conn(), port, wait); err != nil {
		fail(ctx, err)
		return
	}
	all, _ := s.ports() // where processes cannot be seen, the number is all there is
	found := wire.Port{Port: port}
	for _, p := range all {
		if p.Port == port {
			found = p
			break
		}
	}
	answerJSON(ctx, fasthttp.StatusOK, found)
}

// The pauses between two looks at a port: nothing tells when somebody begins to listen.
const (
	firstLook  = time.Millisecond
	lookAtMost = 50 * time.Millisecond
)

// untilOpen returns when something listens at the port, or why nothing does when the time is over or the client gone. It
// connects to nothing: there are programs that take one connection and end.
func (s *Server) untilOpen(client net.Conn, port int, wait time.Duration) error {
	until := time.Now().Add(wait)
	for pause := firstLook; ; pause = min(2*pause, lookAtMost) {
		all, err := listening()
		if err != nil {
			return &sandbox.Error{Code: sandbox.Unsupported, Op: "port", Err: fmt.Errorf("the kernel does not tell who listens: %w", err)}
		}
		for _, l := range all {
			if l.at.Port() == uint16(port) && (l.at.Addr().IsUnspecified() || l.at.Addr().IsLoopback()) {
				return nil
			}
		}
		left := time.Until(until)
		if left <= 0 || !connected(client) {
			return nobodyAt(port)
		}
		timer := time.NewTimer(min(pause, left))
		select {
		case <-timer.C:
		case <-s.life.Done():
			timer.Stop()
			return errStopping
		}
	}
}

// listensAt says whether the port is one of the server's own.
func (s *Server) listensAt(port int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ln := range s.listeners {
		if a, ok := ln.Addr().(*net.TCPAddr); ok && a.Port == port {
			return true
		}
	}
	return false
}

// isPort says whether the path is one whose requests are handed on.
func isPort(path []byte) bool { return bytes.HasPrefix(path, []byte(wire.PathPorts+"/")) }
