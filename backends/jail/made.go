package jail

import (
	"os"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/stage"
)

// made is what a jail is made of that its first process need not have when it begins.
type made struct {
	secret string      // its server's key
	spec   *stage.Spec // nil once it has been told
	shown  []*os.File  // that the Spec names
}

// make makes it.
func (m *made) make(d *Driver, h home, l label, g cgroup.Group, theirs ends, args []string) (err error) {
	if m.secret, err = d.furnish(h, l); err != nil {
		return err
	}
	if err := h.listenAt(map[string]*os.File{serverSocket: theirs[listenFD-stage.SpecFD], doorsSocket: theirs[doorsFD-stage.SpecFD]}); err != nil {
		return err
	}
	opened, err := d.open(h, l, theirs[programFD-stage.SpecFD])
	if err != nil {
		return err
	}
	m.shown = opened.files
	limits := homes.Bounds(l.Limits)
	if err := d.throttle(l, &limits); err != nil {
		return err
	}
	if err := g.Make(limits); err != nil {
		return err
	}
	if m.spec, err = d.layout(l, g, opened); err == nil {
		m.spec.Args = args
	}
	return err
}

// furnish makes the directories or the image, and gives the key.
func (d *Driver) furnish(h home, l label) (key string, err error) {
	if l.Imaged {
		if err := d.makeImage(h, l); err != nil {
			return "", err
		}
		return h.MakeKey()
	}
	dirs := []string{h.stateDir(), h.HomeDir()}
	if len(l.Layers) > 0 {
		dirs = dirs[:1]
	} else if !l.Named {
		dirs = append(dirs, h.OwnWork())
	}
	owner := -1
	if l.FirstID != 0 {
		owner = int(l.FirstID) + d.user().ID
	}
	if err := homes.MakeDirs(owner, dirs...); err != nil {
		return "", err
	}
	return h.MakeKey()
}

// tell tells the first process what the jail looks like, unless it knows.
func (s *spawned) tell() (err error) {
	if s.spec != nil {
		err = s.spec.Send(s.stage, s.shown)
		s.stage.Close()
		closeAll(s.shown)
		s.spec, s.shown = nil, nil
	}
	return err
}
