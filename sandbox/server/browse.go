package server

import (
	"context"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/browser"
)

// laneBrowser is the lane of both browse actions.
const laneBrowser = "browser"

// makeBrowser makes the browser, which starts nothing until a page is asked for.
func (s *Server) makeBrowser() error {
	if !s.config.Browser {
		return nil
	}
	s.tools.browser = browser.New(browser.Config{Child: s.childConfig(), Env: s.programEnv, Dir: s.config.Dir, Mark: s.config.fileMark(), Log: s.log})
	s.tools.closers = append(s.tools.closers, s.tools.browser)
	if !s.config.Downloads {
		return nil
	}
	return s.tools.browser.Prepare()
}

// browserInfo tells of the browser: whether it runs, and what confines its pages. Zero without one.
func (s *Server) browserInfo() browser.Info {
	if s.tools.browser == nil {
		return browser.Info{}
	}
	return s.tools.browser.Info()
}

// unbrowsable is why this server performs no browse action; nil if it does, or a is another.
func (s *Server) unbrowsable(a sandbox.Action) error {
	switch a.Args.(type) {
	case sandbox.BrowseArgs, sandbox.BrowseInteractiveArgs:
		if s.tools.browser == nil {
			return refused(sandbox.Unsupported, string(a.Kind()), noBrowser+" Start sandboxd without --no-enable-browser.")
		}
	}
	return nil
}

// browse performs a browse action. An interrupt ends it where it is.
func (s *Server) browse(ctx context.Context, a sandbox.Action, in func(interrupter)) (sandbox.Observation, error) {
	if err := s.unbrowsable(a); err != nil {
		return sandbox.Observation{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if a.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, a.Timeout)
		defer cancel()
	}
	in(canceler(cancel))
	defer in(nil)
	if args, ok := a.Args.(sandbox.BrowseInteractiveArgs); ok {
		return s.tools.browser.Interact(ctx, args)
	}
	return s.tools.browser.Browse(ctx, a.Args.(sandbox.BrowseArgs))
}

// A canceler is interrupted by ending a context.
type canceler context.CancelFunc

// Interrupt implements interrupter.
func (c canceler) Interrupt() error {
	c()
	return nil
}

// plainBrowse gives the answer to a browse action in the form that OpenHands' clients take: where there is no browser,
// they know an observation of that.
func plainBrowse(o sandbox.Observation, err error) (sandbox.Observation, error) {
	if sandbox.CodeOf(err) == sandbox.Unsupported {
		return sandbox.Failed("", noBrowser+" "+textOf(err)), nil
	}
	return o, err
}
