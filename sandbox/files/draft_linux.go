package files

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// procFD says whether /proc can give a nameless file its name; AT_EMPTY_PATH would ask for a privilege.
var procFD = sync.OnceValue(func() bool {
	_, err := os.Lstat("/proc/self/fd")
	return err == nil
})

// openNameless makes a file without a name in dir. Some file systems cannot.
func openNameless(dir *os.Root, perm fs.FileMode) (*os.File, error) {
	if !procFD() {
		return nil, errors.ErrUnsupported
	}
	return dir.OpenFile(".", os.O_RDWR|unix.O_TMPFILE, perm)
}

// linkNameless gives f, which openNameless made, its first name.
func linkNameless(f *os.File, dir *os.Root, name string) error {
	at, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer at.Close()
	from := "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
	err = unix.Linkat(unix.AT_FDCWD, from, int(at.Fd()), name, unix.AT_SYMLINK_FOLLOW)
	if err != nil {
		return &os.LinkError{Op: "linkat", Old: from, New: name, Err: err}
	}
	return nil
}

// stamp gives f, which has just been written, this very moment as its time of change, so that no two writes of one size have
// the same entity tag. The kernel's own time stands still for up to 4 ms (10 at HZ=100), except from Linux 6.13 on where
// somebody has looked at it. Of a file of somebody else, which may be written but not that, the time stays the kernel's.
func stamp(f *os.File) {
	t := [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(time.Now().UnixNano())}
	_, _, _ = unix.Syscall6(unix.SYS_UTIMENSAT, f.Fd(), 0, uintptr(unsafe.Pointer(&t)), 0, 0, 0) // futimens(3); unix has none of nanoseconds
	runtime.KeepAlive(f)
}

// apart stamps the draft if the clock has not moved since old, which it will replace, was changed: its inode may be the one
// that the file before that had. Else it keeps the kernel's time, which no file that comes after has an earlier one than.
func (d *draft) apart(old fs.FileInfo) error {
	fi, err := d.Stat()
	if err == nil && fi.Sys().(*syscall.Stat_t).Ctim == old.Sys().(*syscall.Stat_t).Ctim {
		stamp(d.File)
	}
	return err
}

// exchange swaps the names of two files in dir, if both exist, neither is a directory and the system can. To a reader that
// is as atomic as a rename over the old one, which ext4 makes wait for the disk (auto_da_alloc) and so take three times as long.
func exchange(dir *os.Root, a, b string) bool {
	at, err := dir.Open(".")
	if err != nil {
		return false
	}
	defer at.Close()
	swap := func() error {
		return unix.Renameat2(int(at.Fd()), a, int(at.Fd()), b, unix.RENAME_EXCHANGE)
	}
	if swap() != nil {
		return false
	}
	if fi, err := dir.Lstat(a); err == nil && fi.IsDir() { // it came to be just now
		return swap() != nil
	}
	return true
}
