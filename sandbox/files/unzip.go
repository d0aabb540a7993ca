package files

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/sandtree/sandtree/sandbox"
)

const (
	// maxDirectory bounds the table of contents of an archive, which must be held in memory: some 700,000 files.
	maxDirectory = 64 << 20
	// maxRatio bounds what an archive unpacks to by its own size. Deflate cannot do better than 1032; what does lets
	// many entries share the same bytes.
	maxRatio = 1100
	// Values of the format: the flag of an encrypted entry, and the systems whose modes mean something.
	zipEncrypted = 1
	zipUnix      = 3
	zipDarwin    = 19
	// maxTarget bounds the target of a symbolic link in an archive.
	maxTarget = maxPath + 1
)

// unzip unpacks the zip archive f, of size bytes, below the directory dir, which root has open. Everything the archive
// claims is checked before anything is written.
func (s *Store) unzip(f io.ReaderAt, size int64, root *os.Root, names []string) error {
	toc := &limitedReaderAt{r: f, left: maxDirectory}
	z, err := zip.NewReader(toc, size)
	if err != nil {
		if errors.Is(err, errDirectory) {
			return &sandbox.Error{Code: sandbox.Invalid, Op: "files.Upload", Err: errDirectory}
		}
		return err
	}
	toc.left = -1 // from here on nothing is kept
	if err := s.checkZip(z, size, root); err != nil {
		return err
	}
	u := &unpacker{s: s, root: root, names: names}
	defer u.close()
	for _, e := range z.File {
		if err := u.unzipEntry(e); err != nil {
			return fmt.Errorf("unpack %.300q: %w", e.Name, err)
		}
	}
	return u.finish()
}

// checkZip refuses an archive that would escape, has what no archive should bring, or is too large unpacked.
func (s *Store) checkZip(z *zip.Reader, size int64, root *os.Root) error {
	total, limit := uint64(0), uint64(s.c.MaxUnpacked)
	if len(z.File) > s.c.MaxEntries {
		return &sandbox.Error{Code: sandbox.Invalid, Op: "files.Upload", Err: fmt.Errorf("the archive has %d entries, at most %d can be: send it in parts", len(z.File), s.c.MaxEntries)}
	}
	for _, e := range z.File {
		name, err := entryName(e.Name)
		if err != nil {
			return err
		}
		switch mode := e.Mode(); {
		case e.Flags&zipEncrypted != 0:
			return badEntry(name, "is encrypted")
		case mode.IsDir(), mode.IsRegular():
		case mode.Type() != fs.ModeSymlink:
			return badEntry(name, "is neither file, directory nor link")
		case e.UncompressedSize64 > maxTarget:
			return badEntry(name, "is a link with an impossible target")
		}
		if total += e.UncompressedSize64; e.UncompressedSize64 > limit || total > limit {
			return &sandbox.Error{Code: sandbox.Invalid, Op: "files.Upload", Err: fmt.Errorf("the archive unpacks to more than %d bytes", limit)}
		}
	}
	if total > maxRatio*uint64(size) {
		return &sandbox.Error{Code: sandbox.Invalid, Op: "files.Upload", Err: fmt.Errorf("the archive has %d bytes and claims to unpack to %d", size, total)}
	}
	if free, ok := freeBytes(root); ok && total > free {
		return &sandbox.Error{Code: sandbox.Exhausted, Op: "files.Upload", Err: fmt.Errorf("the archive unpacks to %d bytes, and %d are free: %w", total, free, syscall.ENOSPC)}
	}
	return nil
}

func (u *unpacker) unzipEntry(e *zip.File) error {
	name, err := entryName(e.Name)
	if err != nil {
		return err
	}
	mode := e.Mode()
	if system := e.CreatorVersion >> 8; system != zipUnix && system != zipDarwin {
		mode = mode.Type() // what it says of permissions is invented
	}
	if mode.IsDir() {
		return u.makeDir(name, mode)
	}
	r, err := e.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if mode.Type() == fs.ModeSymlink {
		target, err := io.ReadAll(io.LimitReader(r, maxTarget))
		if err != nil {
			return err
		}
		return u.symlink(name, string(target))
	}
	return u.writeFile(name, mode, e.Modified, int64(e.UncompressedSize64), r)
}

var errDirectory = errors.New("the archive's table of contents is too large")

// A limitedReaderAt gives at most left bytes in all; a negative left is no limit.
type limitedReaderAt struct {
	r    io.ReaderAt
	left int64
}

func (l *limitedReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if l.left >= 0 {
		if int64(len(p)) > l.left {
			return 0, errDirectory
		}
		l.left -= int64(len(p))
	}
	return l.r.ReadAt(p, off)
}

// freeBytes is how much the file system of root has left.
func freeBytes(root *os.Root) (uint64, bool) {
	f, err := root.Open(".")
	if err != nil {
		return 0, false
	}
	defer f.Close()
	var st syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &st); err != nil {
		return 0, false
	}
	return st.Bavail * uint64(st.Bsize), true
}
