package egress

import (
	"os"
	"sync"

	"github.com/sandtree/sandtree/sandbox"
)

// Watched makes a Config.Changed of a file that is replaced, not written over, when the policy changes; read reads the
// policy out of it. Looking whether it is another one takes a microsecond or two. While it cannot be read, nothing has changed.
func Watched(path string, read func() (sandbox.Egress, error)) func() (sandbox.Egress, bool) {
	var mu sync.Mutex
	var last os.FileInfo
	return func() (sandbox.Egress, bool) {
		mu.Lock()
		defer mu.Unlock()
		now, err := os.Stat(path)
		if err != nil || last != nil && os.SameFile(last, now) && last.ModTime().Equal(now.ModTime()) {
			return sandbox.Egress{}, false
		}
		e, err := read() // later than the look: what changes in between is another file at the next look
		if err != nil {
			return sandbox.Egress{}, false
		}
		last = now
		return e, true
	}
}

// refresh takes over a policy that somebody else has set.
func (p *Proxy) refresh() {
	if p.config.Changed == nil {
		return
	}
	e, changed := p.config.Changed()
	if !changed {
		return
	}
	if err := p.SetPolicy(e); err != nil { // then nobody can have checked it
		p.log.Warn("the policy of a sandbox cannot be read", "err", err)
	}
}
