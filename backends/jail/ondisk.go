package jail

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// A sandbox whose files are in an image, or in memory, begins with a snapshot as any other: an empty layer is put over those of the
// snapshot. That layer is in the image, so that what is written counts for its size and is gone with it; what lies below does not
// count. Such a layer has a name that begins with onDisk, and is a directory of that name in the image.
const onDisk = "upper-"

func newOnDisk() string { return onDisk + sandbox.RandomHex(8) }

// mountOnDisk gives the mounts of a sandbox that has its uppermost layer in its image: its state's, and those of the parts.
func (d *Driver) mountOnDisk(h home, l label, parts ...string) (state *os.File, files []*os.File, err error) {
	disk, err := mountDisk(h, l)
	if err != nil {
		return nil, nil, fmt.Errorf("mount %s: %w", h.imageFile(), err)
	}
	defer unix.Close(disk)
	err = privately(func() error {
		// The kernel takes no layers from a mount that is nowhere: over the home it hides nothing that is needed here.
		if err := unix.MoveMount(disk, "", unix.AT_FDCWD, string(h.Home), unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return os.NewSyscallError("move_mount", err)
		}
		if err := d.furnishDisk(h, l); err != nil {
			return err
		}
		fd, err := unix.OpenTree(unix.AT_FDCWD, h.stateDir(), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
		if err != nil {
			return os.NewSyscallError("open_tree", err)
		}
		state = os.NewFile(uintptr(fd), h.stateDir())
		files, err = d.lay(l, h.Path(l.Layers[0]), parts)
		return err
	})
	if err != nil {
		closeAll(append(files, state))
		return nil, nil, fmt.Errorf("lay %d layers over each other: %w", len(l.Layers), err)
	}
	return state, files, nil
}

// furnishDisk makes in an image that is mounted over the home what there must be, and removes what files there were before the
// sandbox was restored.
func (d *Driver) furnishDisk(h home, l label) error {
	inside := int(l.FirstID) + d.user().ID
	switch err := os.Mkdir(h.stateDir(), 0o700); {
	case errors.Is(err, os.ErrExist):
	case err != nil:
		return err
	default:
		if err := os.Lchown(h.stateDir(), inside, inside); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(string(h.Home))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if name == partHome || name == partWork || strings.HasPrefix(name, onDisk) && name != l.Layers[0] {
			if err := held.RemoveTree(h.Path(name)); err != nil {
				return err
			}
		}
	}
	upper := h.Path(l.Layers[0])
	for _, dir := range []string{upper, filepath.Join(upper, "fs")} {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return os.Chmod(filepath.Join(upper, "fs"), 0o755) // whatever umask is
}
