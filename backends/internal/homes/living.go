package homes

import "github.com/sandtree/sandtree/internal/held"

// Begin runs f in a goroutine that Close waits for; false if there was a Close already.
func (e *Homes[L]) Begin(f func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.wg.Go(f)
	return true
}

// Server gives the living server of a home. held.ErrEnded if there is none.
func (e *Homes[L]) Server(h Home) (*held.Process, error) {
	id, ok := h.Server()
	if !ok {
		return nil, held.ErrEnded
	}
	return e.Hold(id, h.ExitFile())
}

// Hold gives a living process, which is held from then on; record is where its parent notes how it ended. held.ErrEnded.
func (e *Homes[L]) Hold(id held.Identity, record string) (*held.Process, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, held.ErrClosed
	}
	if p, ok := e.living[id]; ok {
		if !p.Alive() {
			return nil, held.ErrEnded
		}
		return p, nil
	}
	p, err := held.Open(id, record)
	if err != nil {
		return nil, err
	}
	e.keepLocked(p)
	return p, nil
}

// Keep takes p into those held, and watches it.
func (e *Homes[L]) Keep(p *held.Process) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return held.ErrClosed
	}
	e.keepLocked(p)
	return nil
}

func (e *Homes[L]) keepLocked(p *held.Process) {
	e.living[p.Identity] = p
	e.wg.Go(func() {
		p.Watch()
		e.mu.Lock()
		w := e.ways[p.Identity]
		delete(e.living, p.Identity) // of what is closed they are nil, which is fine
		delete(e.ways, p.Identity)
		e.mu.Unlock()
		if w != nil {
			w.close()
		}
		if e.kind.Ended != nil {
			e.kind.Ended(p)
		}
	})
}

// Holds says whether p is held, and has not been seen to end: if not, Kind.Ended has been called, or is about to be.
func (e *Homes[L]) Holds(p *held.Process) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.closed && e.living[p.Identity] == p
}

// Close lets go of all sandboxes, which live on. From its beginning on nothing begins; then it calls first, if that is not nil.
// Idempotent, if that is.
func (e *Homes[L]) Close(first func()) error {
	e.mu.Lock()
	e.closed = true
	living, ways := e.living, e.ways
	e.living, e.ways = nil, nil
	e.mu.Unlock()
	if first != nil {
		first()
	}
	for _, w := range ways {
		w.close()
	}
	for _, p := range living {
		p.Close()
	}
	e.wg.Wait()
	return nil
}
