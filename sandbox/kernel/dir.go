package kernel

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

//go:embed python
var python embed.FS

// A runDir is the directory that kernels and the server meet in: connection files, sockets, and the Python that is ours.
// It belongs to the kernels' user, who may do with it what he likes, so everything is written through a descriptor of it,
// and no file is written that is there already.
type runDir struct {
	path string
	root *os.Root
	user *syscall.Credential
}

const (
	modules   = "python" // the directory with our Python, in it and in the program
	maxSocket = 107      // bytes of a socket's path, sun_path less its NUL
)

// runDirs says below which directory a server makes its own, and what the name begins with, which no other living server
// uses.
func (c Config) runDirs() (parent, prefix string) {
	parent, prefix = c.RunDir, "sandtree-kernels-"+c.Mark+"-"
	if len(filepath.Join(parent, prefix+"0123456789-99999-5")) > maxSocket {
		parent = "/tmp" // a socket's path must be short
	}
	return parent, prefix
}

// RemoveLeft removes what earlier servers of this sandbox have left, none of whose kernels runs. Before the first start.
func (ks *Kernels) RemoveLeft() error {
	parent, prefix := ks.config.runDirs()
	old, err := filepath.Glob(filepath.Join(parent, prefix+"*"))
	for _, dir := range old {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// newRunDir makes a directory below parent whose name begins with prefix.
func newRunDir(parent, prefix string, user *syscall.Credential) (*runDir, error) {
	path, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return nil, err
	}
	d := &runDir{path: path, user: user}
	if d.root, err = os.OpenRoot(path); err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	if err := d.fill(); err != nil {
		return nil, errors.Join(err, d.remove())
	}
	return d, nil
}

func (d *runDir) fill() error {
	if err := d.root.Mkdir(modules, 0o700); err != nil {
		return err
	}
	entries, err := python.ReadDir(modules)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := modules + "/" + e.Name()
		text, err := python.ReadFile(name)
		if err == nil {
			err = d.write(name, string(text))
		}
		if err != nil {
			return err
		}
	}
	if d.user == nil {
		return nil
	}
	dir, err := d.root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := d.root.Chown(modules, int(d.user.Uid), int(d.user.Gid)); err != nil {
		return err
	}
	return dir.Chown(int(d.user.Uid), int(d.user.Gid)) // last: until here nobody else could get in
}

// write makes a file that the kernels' user alone can read.
func (d *runDir) write(name, text string) error {
	f, err := d.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	if d.user != nil {
		err = errors.Join(err, f.Chown(int(d.user.Uid), int(d.user.Gid)))
	}
	return errors.Join(err, f.Close())
}

// drop removes files, if they are there.
func (d *runDir) drop(names ...string) {
	for _, name := range names {
		_ = d.root.Remove(name)
	}
}

// remove removes the directory with all that is in it.
func (d *runDir) remove() error {
	err := os.RemoveAll(d.path)
	return errors.Join(err, d.root.Close())
}

// dial connects to a socket in the directory, if it is one that the kernels' user listens on.
func (d *runDir) dial(name string, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout("unix", filepath.Join(d.path, name), timeout)
	if err != nil {
		return nil, err
	}
	uid, err := peerUser(conn.(*net.UnixConn))
	want := uint32(os.Geteuid())
	if d.user != nil {
		want = d.user.Uid
	}
	if err == nil && uid != want {
		err = fmt.Errorf("%s: user %d listens there: %w", name, uid, fs.ErrPermission)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// peerUser is who listens at the other end, as the kernel of the system knows.
func peerUser(conn *net.UnixConn) (uint32, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var e error
	err = raw.Control(func(fd uintptr) { cred, e = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, e); err != nil {
		return 0, err
	}
	return cred.Uid, nil
}
