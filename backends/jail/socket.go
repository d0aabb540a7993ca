package jail

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// socket gives a short name of the server's socket, which is good until done is called: the path of a Unix socket has at most
// 107 bytes, and that of a home may have more.
func (h home) socket() (path string, done func(), err error) {
	fd, err := unix.Open(string(h), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, &os.PathError{Op: "open", Path: string(h), Err: err}
	}
	return "/proc/self/fd/" + strconv.Itoa(fd) + "/sock", func() { unix.Close(fd) }, nil
}

// listen makes the socket, for the server to inherit.
func (h home) listen() (*os.File, error) {
	if err := os.Remove(h.path("sock")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	path, done, err := h.socket()
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	return l.File()
}
