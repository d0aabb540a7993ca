package server

import (
	"fmt"
	"sync"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/shell"
	"github.com/sandtree/sandtree/sandbox/wire"
)

const (
	// maxTerminals is how many terminals with a name there may be.
	maxTerminals = 64
	// keepTerminal is how long a terminal that nobody looks at goes on, at most.
	keepTerminal = 10 * time.Minute
)

// A terminal is a shell for people, and what it has shown. One without an id ends with its client; others are left and
// found again.
type terminal struct {
	*shell.Terminal
	id   string
	out  *outputs
	done chan struct{} // closed when the shell has ended and all has been read

	mu      sync.Mutex
	clients int
	lapse   *time.Timer // while there are none
}

// terminals are those with an id.
type terminals struct {
	mu  sync.Mutex
	all map[string]*terminal
}

// openTerminal starts one, or finds it by its id, and counts a client of it.
func (s *Server) openTerminal(id string, cols, rows uint16) (*terminal, error) {
	t := &s.tools.terminals
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.all[id]; id != "" && old != nil {
		old.enter()
		return old, old.Resize(cols, rows)
	}
	if id != "" && len(t.all) >= maxTerminals {
		return nil, refused(sandbox.Exhausted, "terminal", fmt.Sprintf("there are %d terminals: end one (DELETE %s?id=ID)", maxTerminals, wire.PathTerminal))
	}
	started, err := shell.OpenTerminal(s.sessions.settings(), cols, rows)
	if err == nil {
		err = s.sessions.add(started)
	}
	if err != nil {
		return nil, err
	}
	term := &terminal{Terminal: started, id: id, out: newOutputs(s.config.MaxOutput), done: make(chan struct{}), clients: 1}
	if id != "" {
		if t.all == nil {
			t.all = map[string]*terminal{}
		}
		t.all[id] = term
	}
	go term.pump() // ends with the shell, which sessions close
	s.log.Info("a terminal is opened", "cols", cols, "rows", rows)
	return term, nil
}

// pump reads what the terminal shows until the shell has ended.
func (t *terminal) pump() {
	defer close(t.done)
	for buf := make([]byte, 32<<10); ; {
		n, err := t.Read(buf)
		if n > 0 {
			t.out.print(shell.Stdout, buf[:n])
		}
		if err != nil {
			return
		}
	}
}

func (t *terminal) over() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

func (t *terminal) enter() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.clients++; t.lapse != nil {
		t.lapse.Stop()
		t.lapse = nil
	}
}

// leaveTerminal says that a client has gone: the terminal ends, unless it has an id and is not over; then it does so if
// nobody comes back.
func (s *Server) leaveTerminal(t *terminal) {
	t.mu.Lock()
	t.clients--
	last := t.clients == 0
	if last && t.id != "" && !t.over() {
		t.lapse = time.AfterFunc(keepTerminal, func() {
			t.mu.Lock()
			alone := t.clients == 0
			t.mu.Unlock()
			if alone {
				_ = s.endTerminal(t)
			}
		})
		last = false
	}
	t.mu.Unlock()
	if last {
		if err := s.endTerminal(t); err != nil {
			s.log.Error("ending a terminal", "err", err)
		}
	}
}

// endTerminal ends a terminal and what runs in it.
func (s *Server) endTerminal(t *terminal) error {
	all := &s.tools.terminals
	all.mu.Lock()
	if all.all[t.id] == t {
		delete(all.all, t.id)
	}
	all.mu.Unlock()
	t.mu.Lock()
	if t.lapse != nil {
		t.lapse.Stop()
	}
	t.mu.Unlock()
	return s.sessions.end(t.Terminal)
}

// deleteTerminal ends a terminal by its id.
func (s *Server) deleteTerminal(a asked) {
	id := a.QueryArgs().Peek("id")
	t := &s.tools.terminals
	t.mu.Lock()
	term := t.all[string(id)]
	t.mu.Unlock()
	err := refused(sandbox.NotFound, "terminal", "there is none of this id: it has ended, or nobody came back to it in time; open one (GET "+wire.PathTerminal+"?id=ID)")
	if term != nil {
		err = s.endTerminal(term)
	}
	if err != nil {
		fail(a.RequestCtx, err)
		return
	}
	a.SetStatusCode(204)
}
