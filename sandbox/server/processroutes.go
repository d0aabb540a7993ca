package server

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/shell"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

// postProcess starts a process in the background.
func (s *Server) postProcess(a asked) {
	p, fresh, last, err := s.command(a, true)
	if err != nil {
		s.failBody(a.RequestCtx, err)
		return
	}
	status := fasthttp.StatusOK
	if fresh {
		status = fasthttp.StatusCreated
	}
	if p == nil {
		s.answerPast(a.RequestCtx, a.rest, last)
		return
	}
	answerJSON(a.RequestCtx, status, p.state())
}

// answerPast tells of a process of which only the last frame is kept.
func (s *Server) answerPast(ctx *fasthttp.RequestCtx, id string, last []byte) {
	f, err := wire.NewFrameReader(strings.NewReader(string(last))).Next()
	if err == nil && f.Type == wire.FrameError {
		err = wire.ParseError(f.Payload, 0)
	}
	var exit wire.Exit
	if err == nil {
		err = decodeSpec("process", f.Payload, &exit)
	}
	if err != nil {
		fail(ctx, err)
		return
	}
	answerJSON(ctx, fasthttp.StatusOK, wire.Process{ID: id, Exit: &exit, Stdout: wire.Held{Length: f.Offset, From: f.Offset}})
}

// listProcesses answers with all that have an id.
func (s *Server) listProcesses(a asked) {
	all := []wire.Process{}
	for _, p := range s.tools.procs.all() {
		<-p.ready
		all = append(all, p.state())
	}
	answerJSON(a.RequestCtx, fasthttp.StatusOK, all)
}

// oneProcess routes what is asked of one process.
func (s *Server) oneProcess(a asked) {
	ctx := a.RequestCtx
	id, what, _ := strings.Cut(a.rest, "/")
	if what == "" && ctx.IsPut() {
		s.postProcess(a)
		return
	}
	do := map[string]func(asked, *process, []byte) error{
		"GET ": s.getProcess, "DELETE ": s.deleteProcess, "GET output": s.getOutput, "POST input": s.postInput,
		"POST signal": s.postSignal, "POST resize": s.postResize, "GET wait": s.getWait,
	}[string(ctx.Method())+" "+what]
	if do == nil {
		wrongMethod(ctx)
		return
	}
	p, last, err := s.findProcess(id)
	if err == nil && p == nil && what != "" && what != "wait" && what != "output" {
		err = refused(sandbox.Conflict, "process", "it ended long ago: only its end is known (GET "+wire.PathProcesses+"/ID)")
	}
	if err == nil {
		a.rest = id
		err = do(a, p, last)
	}
	if err != nil {
		s.failBody(ctx, err)
	}
}

func (s *Server) getProcess(a asked, p *process, last []byte) error {
	if p == nil {
		s.answerPast(a.RequestCtx, a.rest, last)
		return nil
	}
	answerJSON(a.RequestCtx, fasthttp.StatusOK, p.state())
	return p.unstarted()
}

// unstarted is why it has not started.
func (p *process) unstarted() error {
	<-p.ready
	return p.failure
}

func (s *Server) deleteProcess(a asked, p *process, _ []byte) error {
	if p != nil {
		if err := s.forgetProcess(p); err != nil {
			return err
		}
	}
	a.SetStatusCode(fasthttp.StatusNoContent)
	return nil
}

// getOutput answers with what it has written.
func (s *Server) getOutput(a asked, p *process, last []byte) error {
	var t tailing
	for i, name := range [2]string{shell.Stdout: "offset", shell.Stderr: "stderr"} {
		n, err := numberOf(a.RequestCtx, name)
		if err != nil {
			return err
		}
		t.at[i] = n
	}
	switch stream := string(a.QueryArgs().Peek("stream")); stream {
	case "":
	case "stdout":
		t.deaf[shell.Stderr] = true
	case "stderr":
		t.deaf[shell.Stdout] = true
	default:
		return refused(sandbox.Invalid, "process", fmt.Sprintf("stream %.40q is neither stdout nor stderr: leave it out for both", stream))
	}
	follow, err := switchOf(a.RequestCtx, "follow", true)
	if t.follow = follow; err == nil {
		s.answerFrames(a.RequestCtx, p, last, t)
	}
	return err
}

// numberOf reads a number of bytes from the query, 0 if it is absent.
func numberOf(ctx *fasthttp.RequestCtx, name string) (uint64, error) {
	v := ctx.QueryArgs().Peek(name)
	if len(v) == 0 {
		return 0, nil
	}
	n, err := strconv.ParseUint(string(v), 10, 63)
	if err != nil {
		return 0, refused(sandbox.Invalid, "process", fmt.Sprintf("%s %.40q is no number of bytes: want how many have come", name, v))
	}
	return n, nil
}

// postInput adds to its input.
func (s *Server) postInput(a asked, p *process, _ []byte) error {
	offset, err := numberOf(a.RequestCtx, "offset")
	if err != nil {
		return err
	}
	b, err := s.body(a.RequestCtx)
	if err == nil {
		err = s.fence(a.epoch) // the body may have taken long
	}
	if err != nil {
		return err
	}
	if !a.QueryArgs().Has("offset") {
		offset = appended
	}
	if err := p.feed(b, offset, string(a.QueryArgs().Peek("eof")) == "true"); err != nil {
		return err
	}
	a.SetStatusCode(fasthttp.StatusNoContent)
	return nil
}

// postSignal sends it a signal.
func (s *Server) postSignal(a asked, p *process, _ []byte) error {
	b, err := s.body(a.RequestCtx)
	var want wire.Signal
	if err == nil {
		err = decodeSpec("signal", b, &want)
	}
	var number unix.Signal
	if err == nil {
		number, err = signalOf(want.Signal)
	}
	if err == nil {
		err = p.unstarted()
	}
	if err == nil {
		err = p.p.Signal(number, !want.Alone)
	}
	if err == nil {
		a.SetStatusCode(fasthttp.StatusNoContent)
	}
	return err
}

// signalOf reads a signal, as TERM, SIGTERM or 15. Code: Invalid.
func signalOf(name string) (unix.Signal, error) {
	if n, err := strconv.ParseUint(name, 10, 8); err == nil && n > 0 && n < 65 {
		return unix.Signal(n), nil
	}
	upper := strings.ToUpper(name)
	if !strings.HasPrefix(upper, "SIG") {
		upper = "SIG" + upper
	}
	if n := unix.SignalNum(upper); n != 0 {
		return n, nil
	}
	return 0, refused(sandbox.Invalid, "signal", fmt.Sprintf("there is no signal %.40q: want a name as TERM, or a number", name))
}

// postResize tells it that its terminal has another size.
func (s *Server) postResize(a asked, p *process, _ []byte) error {
	b, err := s.body(a.RequestCtx)
	var size wire.TerminalMessage
	if err == nil {
		err = decodeSpec("resize", b, &size)
	}
	if err == nil && (size.Cols == 0 || size.Rows == 0) {
		err = refused(sandbox.Invalid, "resize", "want cols and rows, both more than 0")
	}
	if err == nil {
		err = p.unstarted()
	}
	if err == nil {
		err = p.p.Resize(size.Cols, size.Rows)
	}
	if err == nil {
		a.SetStatusCode(fasthttp.StatusNoContent)
	}
	return err
}

// Bounds of a wait for the end of a process.
const (
	usualWait   = 30 * time.Second
	longestWait = time.Minute
)

// getWait tells of it when it has ended, or the time is over.
func (s *Server) getWait(a asked, p *process, last []byte) error {
	if p == nil {
		return s.getProcess(a, p, last)
	}
	limit := usualWait
	if v := a.QueryArgs().Peek("timeout"); len(v) > 0 {
		seconds, err := strconv.ParseFloat(string(v), 64)
		if err != nil || !(seconds >= 0) || math.IsInf(seconds, 1) {
			return refused(sandbox.Invalid, "process", fmt.Sprintf("timeout %.40q is no number of seconds from 0 on", v))
		}
		limit = time.Duration(min(seconds, longestWait.Seconds()) * float64(time.Second))
	}
	s.contact.hold(a.Conn())
	defer s.contact.release(a.Conn())
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
	case <-s.life.Done():
	}
	return s.getProcess(a, p, last)
}
