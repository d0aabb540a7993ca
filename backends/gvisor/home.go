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

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/held"
)

// boxDir is the directory of a home that has the server's socket and its memory of what it has done already. The identity and the end
// that stand in the home are those of the companion.
//
// The sandbox sees it, home and workspace and nothing else of the home. What stands in those is a stranger's, who can change it at any
// time: it is removed, never read or followed.
func boxDir(h homes.Home) string { return h.Path("box") }

// serverSocket is the server's, in the box.
const serverSocket = "sock"

// dial connects to the server. Programs in the sandbox can put anything in the socket's place, a link to one of the host's
// sockets too. So what is connected to is what has been looked at: by descriptor, which also makes the length of the path no
// matter.
func dial(ctx context.Context, h homes.Home, _ *label) (net.Conn, error) {
	path := boxDir(h) + "/" + serverSocket
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
func clearSocket(h homes.Home) error {
	path := boxDir(h) + "/" + serverSocket
	err := os.Remove(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, unix.ENOTEMPTY):
		return held.RemoveTree(path)
	}
	return err
}
