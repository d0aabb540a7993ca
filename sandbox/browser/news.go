package browser

import (
	"context"
	"sync"
)

// News wake those who wait for what events change.
type news struct {
	mu   sync.Mutex
	come chan struct{} // closed at the next event
}

func newNews() news { return news{come: make(chan struct{})} }

// tellLocked wakes all who wait.
func (n *news) tellLocked() {
	close(n.come)
	n.come = make(chan struct{})
}

// await waits until is, which is called under the lock, says so. Errors: that of ctx, why s is gone, errLost.
func (n *news) await(ctx context.Context, s *session, is func() bool) error {
	for {
		n.mu.Lock()
		ok, come := is(), n.come
		n.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-come:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.gone:
			return s.why
		case <-s.conn.done:
			return errLost
		}
	}
}
