package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// listen opens the address, unix:PATH or tcp:HOST:PORT. A Unix socket is for this user only, and takes the place of one
// that a dead server has left. /dev/fd/N is a socket that listens already, handed down by whoever has started us: the
// programs of the sandbox need not even see where it is. Codes: Invalid, Conflict (somebody listens there).
func listen(address string) (net.Listener, error) {
	network, where, _ := strings.Cut(address, ":")
	fd, inherited := strings.CutPrefix(address, "/dev/fd/")
	switch {
	case inherited:
		ln, err := listenInherited(fd)
		return ln, listenError(address, err)
	case network == "tcp" && where != "":
		ln, err := net.Listen("tcp", where)
		return ln, listenError(address, err)
	case network == "unix" && where != "":
		ln, err := listenUnix(where)
		return ln, listenError(address, err)
	}
	return nil, invalid("--listen", fmt.Errorf("%q: want unix:PATH or tcp:HOST:PORT", address))
}

func listenInherited(fd string) (net.Listener, error) {
	n, err := strconv.ParseUint(fd, 10, 16)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(n), "listener")
	if f == nil {
		return nil, os.ErrClosed
	}
	defer f.Close()
	return net.FileListener(f)
}

func listenUnix(path string) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	// The mode is there from the first moment only by the umask, which belongs to the whole process: nothing else runs yet.
	defer syscall.Umask(syscall.Umask(0o177))
	return net.Listen("unix", path)
}

// removeStale removes a socket that nobody listens on.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&os.ModeSocket == 0:
		return fmt.Errorf("%s is there and is no socket", path)
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return syscall.EADDRINUSE
	} else if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

func listenError(address string, err error) error {
	code := sandbox.Invalid
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		code = sandbox.Conflict
	case errors.Is(err, os.ErrPermission):
		code = sandbox.Denied
	}
	return &sandbox.Error{Code: code, Op: "listen " + address, Err: err}
}
