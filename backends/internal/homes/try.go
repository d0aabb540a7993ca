package homes

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// Try calls f with a new home in which a sandbox is only tried, of a label that is written nowhere, and leaves nothing of it. f must
// have ended what it has started.
func (e *Homes[L]) Try(ctx context.Context, f func(h Home, l *L) error) (err error) {
	h := e.Home(sandbox.ID(tryPrefix + sandbox.RandomHex(8)))
	unlock, err := e.LockHome(ctx, h, true) // should this process end before, the next one removes it
	if err != nil {
		return err
	}
	defer unlock()
	l := new(L)
	c := e.kind.Common(l)
	c.ID, c.Mark, c.Workspace = sandbox.ID(filepath.Base(string(h))), "try."+sandbox.RandomHex(8), h.OwnWork()
	defer func() {
		err = errors.Join(err, e.release(context.WithoutCancel(ctx), h, l), held.RemoveTree(string(h)))
	}()
	if err := e.Claim(c); err != nil {
		return err
	}
	return f(h, l)
}
