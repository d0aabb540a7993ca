package jail

import (
	"errors"
	"fmt"
	"io/fs"
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

// newSocket makes one that is nowhere yet.
func newSocket() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	return os.NewFile(uintptr(fd), "socket"), nil
}

// listenAt puts new sockets, by their names, where they are to be. Whoever has inherited one can accept from then on. They are bound by a
// thread that works in the home, since the name by which one was bound is seen in the jail, and has to tell nothing.
func (h home) listenAt(sockets map[string]*os.File) error {
	return apart(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		if err := unix.Chdir(string(h.Home)); err != nil {
			return &os.PathError{Op: "chdir", Path: string(h.Home), Err: err}
		}
		for name, socket := range sockets {
			if err := unix.Unlink(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return &os.PathError{Op: "remove", Path: h.Path(name), Err: err}
			}
			if err := bind(socket, name); err != nil {
				return fmt.Errorf("socket %s: %w", h.Path(name), err)
			}
		}
		return nil
	})
}

func bind(socket *os.File, name string) error {
	conn, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	err2 := conn.Control(func(fd uintptr) {
		if err = unix.Bind(int(fd), &unix.SockaddrUnix{Name: name}); err == nil {
			err = unix.Listen(int(fd), unix.SOMAXCONN)
		}
	})
	return errors.Join(err, err2)
}

// listen makes a socket, for a process to inherit.
func (h home) listen(name string) (*os.File, error) {
	socket, err := newSocket()
	if err != nil {
		return nil, err
	}
	if err := h.listenAt(map[string]*os.File{name: socket}); err != nil {
		socket.Close()
		return nil, err
	}
	return socket, nil
}
