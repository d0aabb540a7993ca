package jail

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// List names the sandboxes of owner, or all.
func (d *Driver) List(ctx context.Context, owner string) ([]backends.Listed, error) {
	d.removeBlanks(ctx) // which nobody could ask for by an id
	entries, err := os.ReadDir(d.root)
	if err != nil {
		return nil, failed("jail.List", "", err)
	}
	var list []backends.Listed
	for _, e := range entries {
		id := sandbox.ID(e.Name())
		if id.Check() != nil {
			continue // being removed
		}
		h := d.home(id)
		l, err := h.read()
		switch {
		case errors.Is(err, fs.ErrNotExist) && h.exited(): // else it is being made
			l = label{ID: id, Created: modified(e)} // its start was cut off: somebody must find it to clear it away
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			d.log.Warn("the label of a sandbox cannot be read", "id", id, "err", err)
			continue
		}
		if owner != "" && l.Owner != owner {
			continue
		}
		if len(l.Layers) > 0 && !l.Named {
			l.Workspace = "" // the host does not see it
		}
		list = append(list, backends.Listed{
			ID: l.ID, Owner: l.Owner, Epoch: l.Epoch, Created: l.Created, Workspace: l.Workspace, Exited: h.exited(),
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
