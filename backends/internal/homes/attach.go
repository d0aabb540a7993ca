package homes

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// Attach finds a sandbox whose server lives.
func (e *Homes[L]) Attach(ctx context.Context, id sandbox.ID) (backends.Instance, error) {
	if err := id.Check(); err != nil {
		return nil, err
	}
	h := e.Home(id)
	l := new(L)
	err := h.Read(l)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrRemoved
	}
	var p *held.Process
	if err == nil {
		p, err = e.Server(h)
	}
	var key string
	if err == nil {
		key, err = h.Key()
	}
	if err == nil {
		err = e.wake(ctx, h, l, p)
	}
	if err != nil {
		return nil, e.Failed("Attach", id, err)
	}
	if err := e.LetOut(ctx, h, e.kind.Common(l), p); err != nil { // what asks for it cannot be helped by refusing the rest
		e.log.Warn("the programs of a sandbox cannot get out", "id", id, "err", err)
	}
	e.hear(ctx, h, l, p)
	return e.kind.Instance(e.newInstance(h, l, p, key)), nil
}

func (e *Homes[L]) wake(ctx context.Context, h Home, l *L, p *held.Process) error {
	if e.kind.Wake == nil {
		return e.Thaw(ctx, e.kind.Common(l))
	}
	return e.kind.Wake(ctx, h, l, p)
}

// List names the sandboxes of owner, or all.
func (e *Homes[L]) List(_ context.Context, owner string) ([]backends.Listed, error) {
	entries, err := os.ReadDir(e.dir)
	if err != nil {
		return nil, e.Failed("List", "", err)
	}
	var list []backends.Listed
	for _, entry := range entries {
		id := sandbox.ID(entry.Name())
		if id.Check() != nil {
			continue // being removed
		}
		h := e.Home(id)
		l := new(L)
		c := e.kind.Common(l)
		switch err := h.Read(l); {
		case errors.Is(err, fs.ErrNotExist) && h.Exited(): // else it is being made
			c.ID, c.Created = id, modified(entry) // its start was cut off, or its removal: somebody must find it to clear it away
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			e.log.Warn("the label of a sandbox cannot be read", "id", id, "err", err)
			continue
		}
		if owner != "" && c.Owner != owner {
			continue
		}
		if e.kind.Listed != nil {
			e.kind.Listed(l)
		}
		list = append(list, backends.Listed{
			ID: c.ID, Owner: c.Owner, Epoch: c.Epoch, Created: c.Created, Workspace: c.Workspace, Exited: h.Exited(),
		})
	}
	return list, nil
}

func modified(e fs.DirEntry) time.Time {
	info, err := e.Info()
	if err != nil {
		return time.Time{}
	}
	return info.ModTime().UTC()
}
