package homes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
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

// Present says what of it is not there now, before anything is made of it. Codes: Invalid, Denied.
func (s Shown) Present(backend string) error {
	if s.Root != "" {
		info, err := os.Stat(s.Root)
		if err == nil && !info.IsDir() {
			err = fmt.Errorf("%s is not a directory", s.Root)
		}
		if err != nil {
			return missing("backends."+backend+".root", err)
		}
	}
	for _, p := range s.Paths {
		if _, err := os.Lstat(p); err != nil {
			return missing("backends."+backend+".paths", err)
		}
	}
	return nil
}

func missing(key string, err error) error {
	code := sandbox.Invalid
	if errors.Is(err, fs.ErrPermission) {
		code = sandbox.Denied
	}
	return Coded(code, fmt.Errorf("%s: %w", key, err))
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
