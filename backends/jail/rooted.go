package jail

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/sandbox"
)

// Where its root can be written to, what a sandbox writes over it is in its home, as its other files are, or in layers: in root/ of
// each beside fs/. It is another overlay, with the configured root under all layers. Directories that are there cannot be renamed
// (EXDEV; mv copies them), so that each layer means the same whatever is below it, and can be copied by itself.
const (
	partRoot = "root"
	rootWork = "rootwork" // the kernel's
	under    = "under"    // an empty directory of the home, where the configured root is mounted while the overlay is
	// mostRoot is how many layers a root can have: a copy does not make them one.
	mostRoot = backends.MostRootLayers
)

// rooted says whether what a sandbox writes over its root is kept. Else it is in memory and ends with the server.
func (d *Driver) rooted(l label) bool {
	return d.config.Overlay && l.FirstID != 0 && !l.Imaged && d.whyNoLayers() == ""
}

// rootDirs are where a sandbox writes what it writes over its root.
func (d *Driver) rootDirs(h home, l label) (upper, work string) {
	if len(l.Root) == 0 {
		return h.Path(partRoot), h.Path(rootWork)
	}
	layer := d.layers().Path(l.Root[0])
	return filepath.Join(layer, partRoot), filepath.Join(layer, rootWork)
}

// canHave says whether a sandbox labelled l can have the files of a snapshot. Code: Unsupported.
func (d *Driver) canHave(l label, k kept) error {
	switch {
	case len(k.Root) == 0:
		return nil
	case !d.rooted(l):
		return homes.Coded(sandbox.Unsupported, errors.New("the snapshot holds what was written over the root, which only root's sandboxes keep, "+
			"with backends.jail.overlay = true and storage \"directory\""))
	case k.RootOf != d.config.Root:
		return homes.Coded(sandbox.Unsupported, fmt.Errorf("the snapshot holds what was written over %s, and backends.jail.root is %q", k.RootOf, d.config.Root))
	}
	return nil
}

// openBase gives a mount of the configured root, which is nowhere. Whom its files belong to there, they belong to in the jail.
func (d *Driver) openBase(l label, program *os.File) (*os.File, error) {
	f, err := homes.OpenTree(d.config.Root, false)
	if err != nil {
		return nil, err
	}
	if err := mapTree(f, d.config.Root, l.Mappings(), l.Mappings(), program); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// openBaseOf is openBase for a sandbox that lives.
func (d *Driver) openBaseOf(l label) (*os.File, error) {
	path, err := d.sandboxd()
	if err != nil {
		return nil, err
	}
	program, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer program.Close()
	return d.openBase(l, program)
}

// mountRoot lays what the sandbox writes, and the layers below it, over base.
func (d *Driver) mountRoot(h home, l label, base *os.File) (root *os.File, err error) {
	err = privately(func() error {
		root, err = d.layRoot(h, l, base)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lay %d layers over %s: %w", max(1, len(l.Root)), d.config.Root, err)
	}
	return root, nil
}

// layRoot does it, in a mount namespace for that.
func (d *Driver) layRoot(h home, l label, base *os.File) (*os.File, error) {
	upper, work := d.rootDirs(h, l)
	at := h.Path(under)
	if err := os.Mkdir(at, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	if err := makeRootDir(upper, int(base.Fd())); err != nil {
		return nil, err
	}
	if err := errors.Join(os.RemoveAll(work), os.Mkdir(work, 0o700)); err != nil {
		return nil, err
	}
	if err := unix.MoveMount(int(base.Fd()), "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return nil, os.NewSyscallError("move_mount", err)
	}
	var closing []*os.File
	defer func() { closeAll(closing) }()
	var options []string
	add := func(option string, f *os.File, err error) error {
		if err == nil {
			closing = append(closing, f)
			options = append(options, option, fdPath(f))
		}
		return err
	}
	for i := 1; i < len(l.Root); i++ {
		f, err := d.openLayer(l.Root[i], partRoot, l)
		if err := add("lowerdir+", f, err); err != nil {
			return nil, err
		}
	}
	for _, dir := range [][2]string{{"lowerdir+", at}, {"upperdir", upper}, {"workdir", work}} {
		f, err := openPath(dir[1])
		if err := add(dir[0], f, err); err != nil {
			return nil, err
		}
	}
	files, err := overlay(at, append(options, "redirect_dir", "off", "index", "off", "metacopy", "off", "volatile", ""), []string{"."})
	if err != nil {
		closeAll(files)
		return nil, err
	}
	return files[0], nil
}

// makeRootDir makes the directory that stands for the top of the root in a layer: it is as that one is.
func makeRootDir(dir string, like int) error {
	if err := os.Mkdir(dir, 0o700); errors.Is(err, os.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	var s unix.Stat_t
	if err := unix.Fstat(like, &s); err != nil {
		return err
	}
	return errors.Join(os.Lchown(dir, int(s.Uid), int(s.Gid)), syscall.Chmod(dir, s.Mode&0o1777))
}
