package jail

import (
	"context"
	"path/filepath"
	"strconv"
	"sync"
)

// workspace is where this process sees the sandbox's, whatever it lies on. The way there is the jail's own, which nothing in it can
// change.
func (e *ear) workspace() string {
	return filepath.Join("/proc", strconv.Itoa(e.server.PID), "root", workDir)
}

// followChanges tells, after each action, which files of the workspace have changed, until the sandbox or ctx ends.
func (e *ear) followChanges(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		select {
		case <-e.server.Done():
			stop()
		case <-ctx.Done():
		}
	})
	if err := e.files.Run(ctx); err != nil {
		e.d.log.Warn("it cannot be told which files of a sandbox change", "id", e.label.ID, "err", err)
	}
	stop()
}

// Acted says that an action has ended, which may have changed files.
func (i *instance) Acted() {
	i.d.mu.Lock()
	e := i.d.ears[i.Process.Identity]
	i.d.mu.Unlock()
	if e != nil && e.files != nil {
		e.files.Acted()
	}
}
