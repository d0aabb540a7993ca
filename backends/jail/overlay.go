package jail

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// privately runs f in a mount namespace of its own: layers can only be laid over each other where they are mounted, which is nobody's
// business but that of the thread that does it.
func privately(f func() error) error {
	return apart(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return os.NewSyscallError("mount", err)
		}
		return f()
	})
}

// readOnly and writable are the options of overlays. What is renamed is one directory in either; nothing is waited for to be on
// the disk.
var (
	readOnly = []string{"redirect_dir", "follow", "metacopy", "off"}
	writable = []string{"redirect_dir", "on", "index", "off", "metacopy", "off", "volatile", ""}
)

// composed is an overlay that is about to be mounted at a directory.
type composed struct {
	at      string
	layers  []*os.File
	options []string // of which each is followed by its value; "" is none
	fs      *os.File
}

// overlay mounts one at a directory and gives mounts of parts of it.
func overlay(at string, options, parts []string) ([]*os.File, error) {
	o := composed{at: at}
	err := o.begin(options)
	defer o.close()
	if err != nil {
		return nil, err
	}
	return o.mount(parts)
}

func (o *composed) begin(options []string) error {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("fsopen", err)
	}
	o.fs, o.options = os.NewFile(uintptr(fs), "overlay"), options
	for i := 0; i < len(options); i += 2 {
		if options[i+1] == "" {
			err = unix.FsconfigSetFlag(fs, options[i])
		} else {
			err = unix.FsconfigSetString(fs, options[i], options[i+1])
		}
		if err != nil {
			return fmt.Errorf("overlay: option %s: %w", options[i], err)
		}
	}
	return nil
}

// create makes the file system. Kernels before Linux 6.7 refuse the options now, and get others; that changes the thread's working directory.
func (o *composed) create() error {
	err := unix.FsconfigCreate(int(o.fs.Fd()))
	if errors.Is(err, unix.EINVAL) && unix.Chdir(descriptors) == nil {
		older := composed{at: o.at}
		if older.begin(inOneOption(o.options)) == nil && unix.FsconfigCreate(int(older.fs.Fd())) == nil {
			o.fs.Close()
			o.fs, err = older.fs, nil
		} else {
			older.fs.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("overlay: %w", err)
	}
	return nil
}

func (o *composed) mount(parts []string) (files []*os.File, err error) {
	if err := o.create(); err != nil {
		return nil, err
	}
	fd, err := unix.Fsmount(int(o.fs.Fd()), unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return nil, os.NewSyscallError("fsmount", err)
	}
	defer unix.Close(fd)
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, o.at, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return nil, os.NewSyscallError("move_mount", err)
	}
	for _, part := range parts {
		tree, err := unix.OpenTree(fd, part, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
		if err != nil {
			return files, &os.PathError{Op: "open_tree", Path: part, Err: err}
		}
		files = append(files, os.NewFile(uintptr(tree), part))
	}
	return files, nil
}

func (o *composed) close() {
	closeAll(o.layers)
	o.fs.Close() // of a nil file, an error that says so
}

// inOneOption are options for a kernel before Linux 6.7, which wants all lower directories in one, of no more than 255 bytes. So they are
// named from where their descriptors are.
func inOneOption(options []string) []string {
	var lowers, others []string
	for i := 0; i < len(options); i += 2 {
		if options[i] == "lowerdir+" {
			lowers = append(lowers, strings.TrimPrefix(options[i+1], descriptors+"/"))
		} else {
			others = append(others, options[i], options[i+1])
		}
	}
	return append(others, "lowerdir", strings.Join(lowers, ":"))
}

// descriptors is where those of this process are.
const descriptors = "/proc/self/fd"

func fdPath(f *os.File) string { return descriptors + "/" + strconv.Itoa(int(f.Fd())) }

// apart runs f on a thread of its own, which ends with it, and with it what f has done to the thread's namespaces.
func apart(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good, so that the thread ends with this function
		if unix.Gettid() == unix.Getpid() {
			done <- apart(f) // the first thread of a process cannot end before it
			runtime.UnlockOSThread()
			return
		}
		done <- f()
	}()
	return <-done
}
