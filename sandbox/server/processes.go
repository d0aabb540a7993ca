package server

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

const (
	// maxRunning is how many processes may run at a time, maxProcesses how many there may be, with those that have ended.
	maxRunning   = 256
	maxProcesses = 1024
	// maxEndedBytes is how much output of processes that have ended is held, of the newest ones.
	maxEndedBytes = 32 << 20
)

// processes are those outside of any session that run, or have ended and are not forgotten.
type processes struct {
	mu      sync.Mutex
	byID    map[string]*process
	running int
	ended   []*process // with an id, in the order they ended
	bytes   int        // of the output of those
	unnamed map[*process]struct{}
}

func newProcesses() *processes {
	return &processes{byID: map[string]*process{}, unnamed: map[*process]struct{}{}}
}

// begin starts a process, or joins the one of that id if its command had the same body. done is its last frame if it has
// ended and nothing else is known of it any more. Codes: Conflict (fenced, another body, interrupted, or forgotten),
// Exhausted, Unavailable, and those of starting it.
func (s *Server) begin(c wire.Command, body []byte, epoch uint64) (p *process, fresh bool, done []byte, err error) {
	s.mu.Lock()
	if err = s.fenceLocked(epoch); err == nil && s.stopping {
		err = errStopping
	}
	if err == nil {
		p, fresh, done, err = s.admitProcessLocked(c, body)
	}
	if fresh {
		s.working.Add(1) // for watch, below
	}
	s.mu.Unlock()
	switch {
	case err != nil || p == nil:
		return nil, false, done, err
	case !fresh:
		<-p.ready
		return p, false, nil, p.failure
	}
	s.launch(p)
	go func() {
		defer s.working.Done()
		p.watch(s.life, s.memory)
		s.retire(p)
	}()
	return p, true, nil, p.failure
}

// admitProcessLocked puts a new process into the table and the ledger.
func (s *Server) admitProcessLocked(c wire.Command, body []byte) (p *process, fresh bool, done []byte, err error) {
	t := s.tools.procs
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.byID[c.ID]; c.ID != "" && p != nil {
		_, _, err := s.ledger.Begin(c.ID, processHash(body)) // which compares the bodies
		return p, false, nil, err
	}
	if c.ID == "" || !s.ledger.Known(c.ID) {
		if err := t.roomLocked(); err != nil {
			return nil, false, nil, err
		}
	}
	p = &process{Command: c, out: newOutputs(s.config.MaxOutput), ready: make(chan struct{}), done: make(chan struct{}), began: time.Now()}
	if c.ID == "" {
		t.unnamed[p] = struct{}{}
		t.running++
		return p, true, nil, nil
	}
	entry, fresh, err := s.ledger.Begin(c.ID, processHash(body))
	if err != nil {
		return nil, false, nil, err
	}
	if !fresh {
		done, err = lastOf(entry.Answer())
		return nil, false, done, err
	}
	p.entry = entry
	t.byID[c.ID] = p
	t.running++
	return p, true, nil, nil
}

// processHash is the body of a process in the ledger, which is another than that of an action with the same text.
func processHash(body []byte) [sha256.Size]byte {
	return sha256.Sum256(append([]byte("process\x00"), body...))
}

// lastOf gives the last frame of a process that is known by its record alone. Code: Conflict.
func lastOf(frame []byte, ok bool) ([]byte, error) {
	if ok && len(frame) > 0 && (frame[0] == wire.FrameExit || frame[0] == wire.FrameError) {
		return frame, nil
	}
	return nil, refused(sandbox.Conflict, "process", "the server was killed while it ran, and everything that it had started has been ended; "+
		"it will not run again: take another id")
}

// roomLocked makes room for one more. Code: Exhausted.
func (t *processes) roomLocked() error {
	if t.running >= maxRunning {
		return refused(sandbox.Exhausted, "process", fmt.Sprintf("%d processes run: wait for some, or end them (DELETE %s/ID)", maxRunning, wire.PathProcesses))
	}
	if len(t.byID) < maxProcesses {
		return nil
	}
	for i, p := range t.ended {
		if p.p == nil || p.p.Release() {
			t.dropLocked(i)
			return nil
		}
	}
	return refused(sandbox.Exhausted, "process", fmt.Sprintf("there are %d processes that have left something running: end some (DELETE %s/ID)",
		maxProcesses, wire.PathProcesses))
}

// dropLocked forgets the process that ended as the i-th.
func (t *processes) dropLocked(i int) {
	p := t.ended[i]
	t.ended = slices.Delete(t.ended, i, i+1)
	t.bytes -= p.held
	delete(t.byID, p.ID)
}

// retire notes that a process has ended.
func (s *Server) retire(p *process) {
	if p.entry != nil {
		if err := p.entry.Done(p.frame); err != nil {
			s.log.Error("recording the end of a process", "process", p.ID, "err", err)
		}
	}
	t := s.tools.procs
	t.mu.Lock()
	t.running--
	if p.entry != nil && t.byID[p.ID] == p {
		t.ended = append(t.ended, p)
		p.held = p.out.bytes()
		t.bytes += p.held
		for i := 0; t.bytes > maxEndedBytes && i < len(t.ended)-1; i++ {
			old := t.ended[i]
			t.bytes -= old.held
			old.held = 0
			old.out.drop()
		}
	}
	t.mu.Unlock()
	if p.entry != nil {
		if p.p != nil {
			p.p.Release() // if it has left something, that runs on
		}
		return
	}
	if p.p != nil && !p.p.Release() { // nobody could end what it has left
		if err := p.p.Close(); err != nil {
			s.log.Error("ending what a process has left", "err", err)
		}
	}
	t.mu.Lock()
	delete(t.unnamed, p)
	t.mu.Unlock()
}

// findProcess gives a process by its id. done is its last frame if nothing else is known of it. Codes: NotFound, Conflict.
func (s *Server) findProcess(id string) (p *process, done []byte, err error) {
	t := s.tools.procs
	t.mu.Lock()
	p = t.byID[id]
	t.mu.Unlock()
	if p != nil {
		<-p.ready
		return p, nil, nil
	}
	entry, ok := s.ledger.Lookup(id)
	if !ok {
		return nil, nil, refused(sandbox.NotFound, "process", "there is none of this id: GET "+wire.PathProcesses+" lists those that there are")
	}
	if frame, settled := entry.Answer(); settled {
		done, err = lastOf(frame, true)
		return nil, done, err
	}
	return nil, nil, refused(sandbox.NotFound, "process", "the id is that of an action: ask for it at "+wire.PathActions+"ID")
}

// forgetProcess kills whatever is left of a process and forgets it, but for its id, which starts nothing again.
func (s *Server) forgetProcess(p *process) error {
	err := p.Close()
	t := s.tools.procs
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.ended, p); i >= 0 {
		t.dropLocked(i)
	} else {
		delete(t.byID, p.ID)
	}
	return err
}

// all gives those with an id in the order they began.
func (t *processes) all() []*process {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*process, 0, len(t.byID))
	for _, p := range t.byID {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *process) int { return a.began.Compare(b.began) })
	return all
}

// Close ends them all and what they have started.
func (t *processes) Close() error {
	t.mu.Lock()
	all := make([]closer, 0, len(t.byID)+len(t.unnamed))
	for _, p := range t.byID {
		all = append(all, p)
	}
	for p := range t.unnamed {
		all = append(all, p)
	}
	t.mu.Unlock()
	return closeAll(all)
}
