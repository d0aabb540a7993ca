package bench

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// floorPrefix is what the directories are called that the floors of files are in.
const floorPrefix = "st-floor-"

// young is how old such a directory must be to be another's that was killed: a new one may not be locked yet.
const young = time.Minute

// floorDir makes a directory, which is locked until release removes it, and removes those that runs have left that were killed.
func floorDir() (dir string, release func() error, err error) {
	clearFloorDirs()
	if dir, err = os.MkdirTemp("", floorPrefix); err != nil {
		return "", nil, err
	}
	d, err := os.Open(dir)
	if err == nil {
		err = unix.Flock(int(d.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, func() error { return errors.Join(os.RemoveAll(dir), d.Close()) }, nil
}

// clearFloorDirs removes what nobody holds. Anybody may make a directory of such a name where temporary ones are: only those that
// are this user's alone are touched.
func clearFloorDirs() {
	all, _ := filepath.Glob(filepath.Join(os.TempDir(), floorPrefix+"*")) // the pattern is good, unless TMPDIR is odd
	for _, dir := range all {
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		var st unix.Stat_t
		old := unix.Fstat(fd, &st) == nil && time.Since(time.Unix(st.Mtim.Unix())) > young
		if old && int(st.Uid) == os.Geteuid() && st.Mode&0o077 == 0 && unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(dir) // the next run tries again
		}
		unix.Close(fd)
	}
}
