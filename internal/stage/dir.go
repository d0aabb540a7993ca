package stage

import (
	"errors"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// dir is a descriptor of a directory, within which paths stay: neither ".." nor a link leads out of it.
type dir int

var inside = unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}

// at gives what is at a path.
func (d dir) at(p string) (int, error) {
	how := inside
	p = strings.TrimPrefix(path.Clean("/"+p), "/")
	if p == "" {
		p = "."
	}
	return unix.Openat2(int(d), p, &how)
}

// mkdir gives the directory at a path, made with those above it if missing.
func (d dir) mkdir(p string) (dir, error) {
	fd, err := d.at(p)
	if !errors.Is(err, unix.ENOENT) {
		return dir(fd), err
	}
	p = path.Clean("/" + p)
	parent, err := d.mkdir(path.Dir(p))
	if err != nil {
		return -1, err
	}
	defer unix.Close(int(parent))
	if err := unix.Mkdirat(int(parent), path.Base(p), 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, err
	}
	fd, err = d.at(p)
	return dir(fd), err
}

// point gives the place that a mount goes to, made if missing: a directory, or an empty file.
func (d dir) point(p string, file bool) (int, error) {
	if !file {
		fd, err := d.mkdir(p)
		return int(fd), err
	}
	if fd, err := d.at(p); !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	parent, err := d.mkdir(path.Dir(p))
	if err != nil {
		return -1, err
	}
	defer unix.Close(int(parent))
	fd, err := unix.Openat(int(parent), path.Base(p), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return -1, err
	}
	unix.Close(fd)
	return d.at(p)
}
