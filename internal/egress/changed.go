package egress

import (
	"errors"
	"os"
	"sync"

	"github.com/sandtree/sandtree/sandbox"
)

// ErrReplaced says that another process lets the sandbox out from now on.
var ErrReplaced = errors.New("another process lets the sandbox out")

// Watched makes a Config.Changed of a file that is replaced, not written over, when the policy changes or another process
// takes over; read reads the policy out of it, or says ErrReplaced. Looking whether it is another one takes a microsecond or
// two. While it cannot be read, nothing has changed.
func Watched(path string, read func() (sandbox.Egress, error)) func() (*sandbox.Egress, error) {
	var mu sync.Mutex
	var last os.FileInfo
	return func() (*sandbox.Egress, error) {
		mu.Lock()
		defer mu.Unlock()
		now, err := os.Stat(path)
		if err != nil || last != nil && os.SameFile(last, now) && last.ModTime().Equal(now.ModTime()) {
			return nil, err
		}
		e, err := read() // later than the look: what changes in between is another file at the next look
		if err != nil {
			return nil, err
		}
		last = now
		return &e, nil
	}
}

// refresh takes over a policy that somebody else has set, and makes room for somebody else who has taken over.
func (p *Proxy) refresh() {
	if p.config.Changed == nil {
		return
	}
	e, err := p.config.Changed()
	switch {
	case errors.Is(err, ErrReplaced):
		p.log.Info("the programs of a sandbox get out through another process from now on")
		// What programs had here they can have there. Here, no policy would be asked about it any more, and no limit kept.
		p.stop((*flow).resetLocked)
	case err != nil || e == nil:
	default:
		if err := p.SetPolicy(*e); err != nil { // then nobody can have checked it
			p.log.Warn("the policy of a sandbox cannot be read", "err", err)
		}
	}
}
