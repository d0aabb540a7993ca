package gvisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/held"
)

// serverSocket is the server's, in the box.
const serverSocket = "sock"

// dial connects to the server. Programs in the sandbox can put anything in the socket's place, a link to one of the host's
// sockets too. So what is connected to is what has been looked at: by descriptor, which also makes the length of the path no
// matter.
func (h home) dial(ctx context.Context) (net.Conn, error) {
	path := h.boxDir() + "/" + serverSocket
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, fmt.Errorf("%s is no socket: a program in the sandbox has replaced it", path)
	}
	return (&net.Dialer{}).DialContext(ctx, "unix", "/proc/self/fd/"+strconv.Itoa(fd))
}

// clearSocket removes what an earlier server, or a program in its place, has left.
func (h home) clearSocket() error {
	path := h.boxDir() + "/" + serverSocket
	err := os.Remove(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, unix.ENOTEMPTY):
		return held.RemoveTree(path)
	}
	return err
}
