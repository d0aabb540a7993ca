package jail

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// The sockets of a home.
const (
	serverSocket = "sock"
	doorsSocket  = "doors"
)

// socket gives a short name of a socket, which is good until done is called: the path of a Unix socket has at most
// 107 bytes, and that of a home may have more.
func (h home) socket(name string) (path string, done func(), err error) {
	fd, err := unix.Open(string(h.Home), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, &os.PathError{Op: "open", Path: string(h.Home), Err: err}
	}
	return "/proc/self/fd/" + strconv.Itoa(fd) + "/" + name, func() { unix.Close(fd) }, nil
}

// listen makes a socket, for the first process to inherit.
func (h home) listen(name string) (*os.File, error) {
	if err := os.Remove(h.Path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	path, done, err := h.socket(name)
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
