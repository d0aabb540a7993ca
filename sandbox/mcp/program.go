package mcp

import (
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/internal/child"
)

// A program is a server that was started here. It is the sdk.Transport to itself.
type program struct {
	child          *child.Child
	stdin          *os.File
	stdout, stderr *os.File
	errors         *tail
	said           chan struct{}  // closed when its standard error has ended
	readers        sync.WaitGroup // of what it writes
	conn           *stdio         // nil before Connect
	mine           bool           // it was ended, and has not ended by itself
	exit           child.Exit
}

func (h *Hub) startProgram(s Server) (*program, error) {
	env := h.environment(s.Env)
	dir := h.dir()
	path, err := lookPath(s.Command, dir, env)
	if err != nil {
		return nil, err
	}
	var pipes pipes
	defer pipes.closeTheirs()
	p := &program{stdin: pipes.to(), stdout: pipes.from(), stderr: pipes.from(), errors: newTail(stderrTail), said: make(chan struct{})}
	if pipes.err != nil {
		pipes.closeOurs()
		return nil, fmt.Errorf("make pipes: %w", pipes.err)
	}
	p.child, err = child.Start(h.config.Child(), child.Command{Path: path, Args: append([]string{s.Command}, s.Args...), Env: env, Dir: dir,
		Files: pipes.theirs, Name: "mcp"})
	if err != nil {
		pipes.closeOurs()
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	p.readers.Go(func() { // ends with the program, or with end, which closes what it reads
		defer close(p.said)
		_, _ = io.Copy(p.errors, p.stderr)
	})
	return p, nil
}

func (h *Hub) dir() string {
	if h.config.Dir == nil {
		return "/"
	}
	return h.config.Dir()
}

const (
	// What a program has to end by itself: after its standard input has ended, and after SIGTERM.
	inputGrace = 500 * time.Millisecond
	termGrace  = 500 * time.Millisecond
	// lastWords is how long the rest of a program's output is waited for after its end: others may hold the pipe.
	lastWords = 100 * time.Millisecond
)

// end ends the program as the protocol says (2025-06-18, Lifecycle, Shutdown), and all that it has started.
func (p *program) end() {
	over := false
	if p.conn != nil && p.conn.ended() {
		over = within(lastWords, p.child.Done())
	}
	if !over && !within(0, p.child.Done()) {
		p.mine = true
		p.stdin.Close()
		if !within(inputGrace, p.child.Done()) {
			_ = p.child.Signal(syscall.SIGTERM, true)
			within(termGrace, p.child.Done())
		}
	}
	_ = p.child.Close()
	p.exit = p.child.Exit()
	within(lastWords, p.said)
	if p.conn != nil {
		p.conn.Close()
	}
	closeAll([]*os.File{p.stdin, p.stdout, p.stderr})
	p.readers.Wait()
}

// within says whether c is closed within d.
func within(d time.Duration, c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
	}
	if d <= 0 {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c:
		return true
	case <-timer.C:
		return false
	}
}

// explain says how the program ended, if it did so by itself, and in any case what it said last. Only after end.
func (p *program) explain(err error) error {
	switch {
	case p.mine:
	case p.exit.Signal != 0:
		err = fmt.Errorf("it was ended by a signal (%v)", p.exit.Signal)
	default:
		err = fmt.Errorf("it exited with code %d", p.exit.Code)
	}
	if said := p.errors.text(); said != "" {
		return fmt.Errorf("%w; the last it wrote: %s", err, said)
	}
	return err
}
