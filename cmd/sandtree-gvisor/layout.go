package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// base is where the sandbox is put together: a file system in memory, over a directory that every machine has. It is in this
// process's own mount namespace, and ends with it.
const base = "/tmp"

const (
	rootDir   = base + "/root"   // the sandbox's root
	givenDir  = base + "/given"  // what is below it, if that is not put together here
	mountsDir = base + "/mounts" // what is mounted in it, by number
	bundleDir = base + "/bundle" // its description, as gVisor reads it
	stateDir  = base + "/state"  // gVisor's own notes
	ownDir    = base + "/own"    // the root of this process, once gVisor has started
)

// errCannot says that the machine does not let a sandbox be made.
var errCannot = errors.New("this machine cannot run gVisor")

// alone refuses to go on unless this process has namespaces of its own: in the machine's it would take that apart.
func alone() error {
	if os.Getpid() != 1 {
		return errors.New("it is not the first process of its namespaces: it is for the gvisor backend alone to start")
	}
	return nil
}

// assemble puts together what the sandbox sees. gVisor gets it in one tree for what is read, which costs it one connection,
// and one for each that is written to.
func (o *order) assemble() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts of its own: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	if err := unix.Mount("sandtree", base, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("%s: %w", base, err)
	}
	unix.Umask(0)
	for _, dir := range []string{rootDir, givenDir, mountsDir, bundleDir, stateDir} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	for i, t := range o.Trees {
		if err := t.attach(treeFD+i, o.source(i)); err != nil {
			return fmt.Errorf("%s: %w", t.Target, err)
		}
	}
	if err := o.cover(); err != nil {
		return fmt.Errorf("an overlay over the root: %w", err)
	}
	return o.fill()
}

// cover puts an overlay over a root that is given, which takes what gVisor makes in it to mount on. Nothing is ever written
// to the root itself.
func (o *order) cover() error {
	if !o.given() {
		return nil
	}
	upper, work := base+"/upper", base+"/work"
	for _, dir := range []string{upper, work} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.Chown(upper, int(o.outside(0)), int(o.outside(0))); err != nil { // gVisor makes them as root of the sandbox
		return err
	}
	options := "lowerdir=" + givenDir + ",upperdir=" + upper + ",workdir=" + work
	return unix.Mount("overlay", rootDir, "overlay", unix.MS_NOSUID|unix.MS_NODEV, options)
}

// outside is the number on the machine of a user of the sandbox.
func (o *order) outside(inside uint32) uint32 {
	for _, m := range o.IDs {
		if n := inside - m.Inside; inside >= m.Inside && n < m.Size {
			return m.Outside + n
		}
	}
	return 0
}

// source is where a tree is for gVisor. Nothing is mounted in a root that is given: where that would be, gVisor decides, by
// links that it follows itself.
func (o *order) source(i int) string {
	t := o.Trees[i]
	switch {
	case t.Target == "/":
		return givenDir
	case t.Writable || o.given():
		return filepath.Join(mountsDir, strconv.Itoa(i))
	}
	return filepath.Join(rootDir, t.Target)
}

// attach mounts it.
func (t tree) attach(fd int, to string) error {
	if t.Target != "/" {
		if err := point(to, t.File); err != nil {
			return err
		}
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, Propagation: unix.MS_PRIVATE}
	if !t.Writable {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return os.NewSyscallError("mount_setattr", err)
	}
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, to, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return os.NewSyscallError("move_mount", err)
	}
	return unix.Close(fd)
}

// point makes what is mounted on.
func point(path string, isFile bool) error {
	if !isFile {
		return os.MkdirAll(path, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// fill makes the files and links of a root that is put together. Of one that was given, gVisor is told to show the files
// over what stands there, which is not changed.
func (o *order) fill() error {
	for i, f := range o.Files {
		path := filepath.Join(rootDir, f.Path)
		if o.given() {
			path = filepath.Join(mountsDir, "file"+strconv.Itoa(i))
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(f.Content), 0o644); err != nil {
			return err
		}
	}
	if o.given() {
		return nil
	}
	for _, l := range o.Links {
		path := filepath.Join(rootDir, l.Path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(l.Target, path); err != nil {
			return err
		}
	}
	// gVisor would have to make up where it mounts.
	for _, t := range o.Tmpfs {
		if err := os.MkdirAll(filepath.Join(rootDir, t.Target), 0o755); err != nil {
			return err
		}
	}
	for _, t := range o.Trees {
		if !t.Writable {
			continue
		}
		if err := point(filepath.Join(rootDir, t.Target), t.File); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/proc", "/dev", "/sys"} {
		if err := os.MkdirAll(filepath.Join(rootDir, dir), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// given says whether the root is a tree itself.
func (o *order) given() bool {
	for _, t := range o.Trees {
		if t.Target == "/" {
			return true
		}
	}
	return false
}
