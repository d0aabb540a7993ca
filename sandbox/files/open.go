package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"unsafe"
)

// openFlags open for reading what turns out not to be a regular file without waiting for it or becoming its terminal.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOCTTY

// directoryFlag has an open fail on what is not a directory.
const directoryFlag = syscall.O_DIRECTORY

// openRegular opens a regular file, links followed, and nothing else. It looks before it opens, for opening a device
// is enough to start or end things, and looks again, for the file may have been swapped in between.
func openRegular(name string) (*os.File, fs.FileInfo, error) {
	fi, err := os.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if err := regular(fi); err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(name, openFlags, 0)
	if err != nil {
		return nil, nil, err
	}
	return stillRegular(f)
}

// openRegularIn is openRegular below a root; rel has no links, and one put there since is refused or stays inside.
func openRegularIn(root *os.Root, rel string) (*os.File, fs.FileInfo, error) {
	fi, err := root.Lstat(rel)
	if err != nil {
		return nil, nil, err
	}
	if err := regular(fi); err != nil {
		return nil, nil, err
	}
	f, err := root.OpenFile(rel, openFlags, 0)
	if err != nil {
		return nil, nil, err
	}
	return stillRegular(f)
}

func stillRegular(f *os.File) (*os.File, fs.FileInfo, error) {
	fi, err := f.Stat()
	if err == nil {
		err = regular(fi)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, fi, nil
}

func regular(fi fs.FileInfo) error {
	switch {
	case fi.Mode().IsRegular():
		return nil
	case fi.IsDir():
		return syscall.EISDIR
	}
	return errNotRegular
}

var errTooLarge = errors.New("is too large")

// readRegular reads a whole regular file of at most limit bytes.
func readRegular(name string, limit int64) ([]byte, fs.FileInfo, error) {
	f, fi, err := openRegular(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if fi.Size() > limit {
		return nil, fi, errTooLarge
	}
	b := make([]byte, 0, fi.Size()+512) // of /proc the size is 0; else one read finds the content and one its end
	for {
		n, err := f.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case int64(len(b)) > limit:
			return nil, fi, errTooLarge
		case err == io.EOF:
			return b, fi, nil
		case err != nil:
			return nil, fi, err
		}
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
	}
}

// asString is b as a string without a copy: the caller never changes b again.
func asString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
