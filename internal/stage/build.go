package stage

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"
)

// build makes the jail's file system and leaves no way to the host's.
//
// The order matters. First every source is opened, as a mount that is nowhere yet: what is mounted after that can hide
// none of them. Then the new root is put over some directory of the host, in this namespace alone, and filled through its
// descriptor, never by a path of the host, so that no link in a root file system that strangers have made leads out of it.
func build(s *Spec) error {
	// Nothing that is mounted here may travel back to the host.
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	sources, err := openAll(s.Mounts)
	defer func() {
		for _, fd := range sources {
			unix.Close(fd)
		}
	}()
	if err != nil {
		return err
	}
	root, err := openRoot(s.Root)
	if err != nil {
		return fmt.Errorf("root: %w", err)
	}
	defer unix.Close(int(root))
	if err := root.furnish(s, sources); err != nil {
		return err
	}
	return root.enter()
}

// furnish puts everything where it belongs; sources are the mounts that openAll has opened.
func (root dir) furnish(s *Spec, sources map[int]int) (err error) {
	for i, m := range s.Mounts {
		if m.Within != "" {
			err = root.again(m.Within, m.Target)
		} else if fd, ok := sources[i]; ok {
			err = m.place(root, fd)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m.Target, err)
		}
	}
	if err := root.fill(s); err != nil {
		return err
	}
	if s.Root == nil || !s.Root.Writable {
		if err := readOnly(int(root)); err != nil {
			return fmt.Errorf("make the root read-only: %w", err)
		}
	}
	return nil
}

// readOnly makes a mount one that cannot be written to, and leaves those below it.
func readOnly(fd int) error {
	return unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
}

// openAll gives the mounts that come from outside and are there, by their place in the list; also when it fails.
func openAll(mounts []Mount) (map[int]int, error) {
	opened := map[int]int{}
	for i, m := range mounts {
		if m.Within != "" {
			continue
		}
		fd, err := m.open()
		if err != nil {
			return opened, fmt.Errorf("%s for %s: %w", m.from(), m.Target, err)
		}
		if fd >= 0 { // else it is optional, and not there
			opened[i] = fd
		}
	}
	return opened, nil
}

// enter makes root the root and lets go of the host's.
func (root dir) enter() error {
	if err := unix.Fchdir(int(root)); err != nil {
		return err
	}
	// "." over "." puts the old root on top of the new one, from where it is taken: see pivot_root(2).
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the host's root: %w", err)
	}
	return unix.Chdir("/")
}

// openRoot puts the root over a directory of the host and gives it.
func openRoot(m *Mount) (dir, error) {
	fd := -1
	var err error
	if m == nil {
		fd, err = openBare()
	} else {
		over := *m // there must be places for what is mounted, whether or not it can be written to in the end
		over.Overlay = !m.Ready && !m.Whole
		fd, err = over.open()
	}
	if err != nil {
		return -1, err
	}
	if err := cover(fd); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return dir(fd), nil
}

// openBare gives an empty root, for nothing but mount points and small files.
func openBare() (int, error) { return newTmpfs(1<<20, 0, 0o755) }

// cover puts a mount over a directory that every machine has. What is below it is needed no more.
func cover(fd int) error {
	var err error
	for _, over := range []string{"/tmp", "/usr", "/"} {
		if err = unix.MoveMount(fd, "", unix.AT_FDCWD, over, unix.MOVE_MOUNT_F_EMPTY_PATH); err == nil {
			return nil
		}
	}
	return fmt.Errorf("attach: %w", err)
}

// fill writes the files and links.
func (root dir) fill(s *Spec) error {
	for _, f := range s.Files {
		if err := root.write(f); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	for _, l := range s.Links {
		parent, err := root.mkdir(path.Dir(l.Path))
		if err != nil {
			return fmt.Errorf("%s: %w", l.Path, err)
		}
		err = unix.Symlinkat(l.Target, int(parent), path.Base(l.Path))
		unix.Close(int(parent))
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("%s: %w", l.Path, err)
		}
	}
	return nil
}

func (root dir) write(f File) error {
	parent, err := root.mkdir(path.Dir(f.Path))
	if err != nil {
		return err
	}
	defer unix.Close(int(parent))
	mode := f.Mode
	if mode == 0 {
		mode = 0o644
	}
	fd, err := unix.Openat(int(parent), path.Base(f.Path), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	if errors.Is(err, unix.EEXIST) {
		return nil // a root file system that has its own
	} else if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), f.Path)
	_, err = file.Write(f.Content)
	return errors.Join(err, file.Close())
}

func (m Mount) from() string {
	switch {
	case m.Kind != "":
		return m.Kind
	case m.FD > 0:
		return "descriptor " + strconv.Itoa(m.FD)
	}
	return m.Source
}
