package homes

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/sandtree/sandtree/backends"
)

// Shown is what a configuration says that sandboxes see of the host, and as whom.
type Shown struct {
	StateDir string
	Root     string
	Overlay  bool
	Paths    []string
	User     string
}

// Check says what of it cannot be; the error names the field.
func (s Shown) Check() error {
	switch {
	case s.StateDir == "":
		return errors.New("StateDir is not set")
	case s.Root != "" && !filepath.IsAbs(s.Root):
		return fmt.Errorf("%q as Root is not an absolute path", s.Root)
	case s.Overlay && s.Root == "":
		return errors.New("there is Overlay without Root: the programs of the host are never written to, nor over")
	case s.User != "" && s.User != Ordinary.Name && s.User != Superuser.Name:
		return fmt.Errorf("%q as User is neither %q nor %q", s.User, Ordinary.Name, Superuser.Name)
	}
	for _, p := range s.Paths {
		if !filepath.IsAbs(p) {
			return fmt.Errorf("%q in Paths is not an absolute path", p)
		}
	}
	return nil
}

// CheckHidden refuses what no sandbox of that backend may see. Code: Invalid.
func (s Shown) CheckHidden(backend string) error {
	for _, p := range s.Paths {
		if err := backends.CheckShown("backends."+backend+".paths", p, s.StateDir); err != nil {
			return err
		}
	}
	if s.Root == "" {
		return nil
	}
	return backends.CheckShown("backends."+backend+".root", s.Root, s.StateDir)
}
