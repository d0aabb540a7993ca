package jail

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// inMemory says whether sandboxes have their files in memory: workspace, home and what the server knows. What is written counts
// for the memory of whoever writes it, so the limit of the memory is one of the disk too. All of it is gone with the server,
// whatever ends that; a revived one says that it knows nothing.
func (d *Driver) inMemory() bool { return d.config.Storage == storageMemory }

// mountMemory gives an empty file system of the label's size, which is mounted nowhere.
func mountMemory(l label) (int, error) {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(fs)
	err = errors.Join(unix.FsconfigSetString(fs, "source", "sandtree"), unix.FsconfigSetString(fs, "mode", "0755"),
		unix.FsconfigSetString(fs, "size", strconv.FormatInt(l.DiskSize, 10))) // never 0, which is any
	if files := l.Limits.Files; files > 0 && err == nil {
		err = unix.FsconfigSetString(fs, "nr_inodes", strconv.FormatInt(files+reservedInodes, 10))
	}
	if err = errors.Join(err, unix.FsconfigCreate(fs)); err != nil {
		return -1, err
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	return fd, os.NewSyscallError("fsmount", err)
}
