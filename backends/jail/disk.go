package jail

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/sandbox"
)

// Storages are where a sandbox has its own files.
var storages = []string{storageDirectory, storageImage, storageMemory}

const (
	storageDirectory = "directory" // of the host: not bounded
	storageImage     = "image"     // a file system of its own in a sparse file, which is as large as the limit says
	storageMemory    = "memory"    // one in memory, which is gone with the server
)

// imaged says whether a sandbox has its files in an image. It is decided when it is new.
func (d *Driver) imaged(l sandbox.Limits) bool {
	return d.config.Storage == storageImage && l.Disk >= 0 || d.inMemory()
}

// diskSize is that of a new image, in bytes. One in memory is never without a bound, which would be all of the machine's.
func (d *Driver) diskSize(l sandbox.Limits) int64 {
	switch {
	case l.Disk > 0:
		return l.Disk
	case d.inMemory(): // as that of other file systems in memory
		return cmp.Or(homes.Memory(l), sandbox.DefaultMemory) / 2
	}
	return sandbox.DefaultDisk
}

// conflictsOfDisk says why a sandbox that has a disk cannot have the one that want asks for: its size stays, unless it is made
// anew in memory.
func (l label) conflictsOfDisk(want sandbox.Limits) error {
	size := cmp.Or(want.Disk, sandbox.DefaultDisk)
	switch {
	case l.InMemory, !l.Imaged && want.Disk <= 0:
	case size < 0:
		return homes.Coded(sandbox.Conflict, fmt.Errorf("its disk has %d bytes, and cannot be made one without a limit", l.DiskSize))
	case size != l.DiskSize:
		return homes.Coded(sandbox.Conflict, fmt.Errorf("its disk has %d bytes, and cannot be made one of %d", l.DiskSize, size))
	case want.Files != l.Limits.Files:
		return homes.Coded(sandbox.Conflict, fmt.Errorf("its disk is made for %d files, and cannot be made one for %d", l.Limits.Files, want.Files))
	}
	return nil
}

// leastDisk is what a file system needs for itself and for what the server keeps, in bytes.
const leastDisk = 16 << 20

// canImage says what images lack here; nil if nothing.
func canImage() error {
	if os.Geteuid() != 0 {
		return errors.New("it needs root, who alone can mount a file system from a file")
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		return fmt.Errorf("%w: install e2fsprogs", err)
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		return fmt.Errorf("%w: the kernel needs its loop module", err)
	}
	return nil
}

// makeImage makes the image of a new sandbox, and what the jail finds in it.
func (d *Driver) makeImage(h home, l label) error {
	if l.InMemory {
		return nil
	}
	if _, err := os.Stat(h.imageFile()); err == nil {
		return nil // it is revived
	}
	template, err := d.template(l.DiskSize, l.Limits.Files)
	if err != nil {
		return err
	}
	// A new name first: what has the right name is whole.
	fresh := h.Path(".new-disk")
	if err := copySparse(template, fresh); err != nil {
		return fmt.Errorf("copy a file system: %w", err)
	}
	return os.Rename(fresh, h.imageFile())
}

// template gives an empty file system of a size, which is made once: to make one takes some ten milliseconds, to copy it
// less than one.
func (d *Driver) template(size, files int64) (string, error) {
	dir := filepath.Join(d.root, ".disks")
	name := filepath.Join(dir, strconv.FormatInt(size, 10)+"-"+strconv.FormatInt(files, 10))
	if _, err := os.Stat(name); err == nil {
		return name, nil
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name()) // of what has been renamed, an error
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return "", err
	}
	args := []string{"-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0"}
	if files > 0 {
		args = append(args, "-N", strconv.FormatInt(files+reservedInodes, 10))
	}
	if out, err := exec.Command("mkfs.ext4", append(args, f.Name())...).CombinedOutput(); err != nil {
		return "", homes.Coded(sandbox.Invalid, fmt.Errorf("a disk of %d bytes for %d files: %w: %s", size, files, err, out))
	}
	return name, os.Rename(f.Name(), name)
}

// reservedInodes are those that ext4 has for itself, and those of the directories that are made.
const reservedInodes = 16

// copySparse copies what a file has, and leaves out what it does not.
func copySparse(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer dst.Close()
	if err := dst.Truncate(info.Size()); err != nil {
		return err
	}
	for at := int64(0); ; {
		begin, err := unix.Seek(int(src.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return dst.Close() // no more
		} else if err != nil {
			return err
		}
		if at, err = unix.Seek(int(src.Fd()), begin, unix.SEEK_HOLE); err != nil {
			return err
		}
		if _, err := dst.Seek(begin, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.Copy(dst, io.NewSectionReader(src, begin, at-begin)); err != nil {
			return err
		}
	}
}

// mountImage gives the file system of an image, which is mounted nowhere: it goes with the jail that it is handed down to,
// and the loop device with it. It has the directories that the jail shows.
func (d *Driver) mountImage(h home, l label) (*os.File, error) {
	fd, err := mountDisk(h, l)
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", h.imageFile(), err)
	}
	tree := os.NewFile(uintptr(fd), h.imageFile())
	inside := int(l.FirstID) + d.user().ID
	for _, name := range []string{"state", "home", "workspace"} {
		err := unix.Mkdirat(fd, name, 0o700)
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err == nil {
			err = unix.Fchownat(fd, name, inside, inside, unix.AT_SYMLINK_NOFOLLOW)
		}
		if err != nil {
			tree.Close()
			return nil, err
		}
	}
	return tree, nil
}

func mountDisk(h home, l label) (int, error) {
	if l.InMemory {
		return mountMemory(l)
	}
	if err := awaitUnused(h.imageFile()); err != nil {
		return -1, err
	}
	loop, err := attachLoop(h.imageFile())
	if err != nil {
		return -1, err
	}
	defer loop.Close() // what is mounted holds it
	return mountExt4(loop.Name())
}

func mountExt4(device string) (int, error) {
	fs, err := unix.Fsopen("ext4", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(fs)
	// The tables of inodes are not filled beforehand: that would use up the disk for nothing.
	if err := errors.Join(unix.FsconfigSetString(fs, "source", device), unix.FsconfigSetFlag(fs, "noinit_itable"), unix.FsconfigCreate(fs)); err != nil {
		return -1, err
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	return fd, os.NewSyscallError("fsmount", err)
}

// attachLoop makes a block device of a file, which is none any more when nobody has it open.
func attachLoop(file string) (*os.File, error) {
	backing, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer backing.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for range 100 { // others look for a free one too
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("a loop device: %w", err)
		}
		loop, err := os.OpenFile("/dev/loop"+strconv.Itoa(n), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		config := unix.LoopConfig{Fd: uint32(backing.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
		if err = unix.IoctlLoopConfigure(int(loop.Fd()), &config); err == nil {
			return loop, nil
		}
		loop.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("%s: %w", loop.Name(), err)
		}
	}
	return nil, fmt.Errorf("no loop device is to be had: %w", unix.EBUSY)
}

// awaitUnused waits until nobody has the file open, as the loop device of a jail has that is just going: to mount a file
// system twice would be its end. The kernel grants a write lease on such a file alone; of its end nothing tells.
func awaitUnused(file string) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK)
		if err == nil {
			_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
			return err
		}
		if !errors.Is(err, unix.EAGAIN) {
			return fmt.Errorf("lease %s: %w", file, err)
		}
		if time.Now().After(until) {
			return homes.Coded(sandbox.Unavailable, fmt.Errorf("%s is still in use", file))
		}
	}
}
