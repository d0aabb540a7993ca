package server

import (
	"errors"
	"sync"

	"github.com/sandtree/sandtree/internal/child"
	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox/browser"
	"github.com/sandtree/sandtree/sandbox/kernel"
	"github.com/sandtree/sandtree/sandbox/mcp"
)

// tools are what a server has besides its shells and files. Each starts nothing before it is asked for something.
type tools struct {
	procs     *processes
	terminals terminals
	kernels   *kernel.Kernels
	browser   *browser.Browser // nil without Config.Browser
	mcp       *mcp.Hub
	shares    shares
	closers   []closer // what was made, to be ended with the server
}

// makeTools makes the tools when the server is opened. Code: Invalid.
func (s *Server) makeTools() error {
	s.tools.procs = newProcesses()
	s.tools.closers = append(s.tools.closers, s.tools.procs)
	if err := s.makeMCP(); err != nil {
		return err
	}
	s.tools.kernels = s.newKernels()
	s.tools.closers = append(s.tools.closers, s.tools.kernels)
	return s.makeBrowser()
}

// removeLeft removes the files of an earlier server's tools, none of which runs any more.
func (t *tools) removeLeft() error {
	err := t.kernels.RemoveLeft()
	if t.browser != nil {
		err = errors.Join(err, t.browser.RemoveLeft())
	}
	return err
}

// close ends them all, at the same time: some wait for what is stubborn.
func (t *tools) close() error {
	errs := make([]error, len(t.closers))
	var wg sync.WaitGroup
	for i, c := range t.closers {
		wg.Go(func() { errs[i] = c.Close() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// childConfig is how the tools start programs.
func (s *Server) childConfig() child.Config {
	c := s.config
	return child.Config{User: c.User, Cgroup: c.Cgroup, Processes: c.Processes, OnStart: s.startedChild}
}

// startedChild is told of every program of a tool at once after its start.
func (s *Server) startedChild(pid int) {
	p, err := reap.Stat(pid)
	s.note(pid, p, err)
}

// note takes note of a process that was started, unless err says that it has been waited for already.
func (s *Server) note(pid int, p reap.Proc, err error) {
	if s.adopter != nil && err == nil {
		s.adopter.Own(p)
	}
	if s.record == nil {
		return
	}
	if err == nil {
		err = s.record.Add(p)
	}
	if err != nil {
		s.log.Error("recording a session", "pid", pid, "err", err)
	}
}
