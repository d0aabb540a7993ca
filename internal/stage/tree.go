package stage

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Tree makes, outside of any jail, a root with the mounts, files and links of a Spec and with empty directories at points: what is the
// same in many jails, to be copied for each by CopyTree and given to its stage as a root that is Whole. It is nowhere, and nobody can
// write to it. The host's root alone can make one, since Linux 6.15; before, mounts that are nowhere could not be put together (EINVAL).
// What is made has the modes that the Spec says if the calling thread has no umask.
func Tree(s *Spec, points []string) (*os.File, error) {
	sources, err := openAll(s.Mounts)
	defer func() {
		for _, fd := range sources {
			unix.Close(fd)
		}
	}()
	if err != nil {
		return nil, err
	}
	fd, err := openBare()
	if err != nil {
		return nil, err
	}
	tree, root := os.NewFile(uintptr(fd), "tree"), dir(fd)
	for _, p := range points {
		at, err := root.mkdir(p)
		if err != nil {
			tree.Close()
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		unix.Close(int(at))
	}
	if err := root.furnish(s, sources); err != nil {
		tree.Close()
		return nil, err
	}
	return tree, nil
}

// CopyTree copies the mounts of a tree; their files are the same.
func CopyTree(tree *os.File) (*os.File, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_EMPTY_PATH | unix.AT_RECURSIVE)
	fd, err := unix.OpenTree(int(tree.Fd()), "", flags)
	if err != nil {
		return nil, os.NewSyscallError("open_tree", err)
	}
	return os.NewFile(uintptr(fd), "tree"), nil
}
