package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/sandtree/sandtree/sandbox"
)

// Append, as the offset of WriteAt, is the end of the file, wherever that is at each write.
const Append = -1

// WriteAt writes what r gives into one regular file from byte offset on, in the file itself: a reader sees it come, and if r
// fails what was written stays. What lies behind stays too, and a gap reads as zeros. A file that is missing is made, with its
// parents. It is for what is too large to be sent at once or again; all else is Put. The answer is the new entity tag.
// Codes: Invalid (not a regular file, no such offset), Denied, NotFound, Conflict (the options do not match), Exhausted,
// Canceled (r failed).
func (s *Store) WriteAt(path string, r io.Reader, offset int64, o PutOptions) (etag string, err error) {
	if offset < Append {
		return "", refuse(sandbox.Invalid, "WriteAt", path, "no file has an offset of %d", offset)
	}
	return s.into("WriteAt", path, o, func(root *os.Root, rel string) (string, error) {
		return s.writeAt(root, rel, r, offset, o.Mode)
	})
}

// writeAt is WriteAt once the way is clear.
func (s *Store) writeAt(root *os.Root, rel string, r io.Reader, offset int64, mode fs.FileMode) (etag string, err error) {
	flags := 0
	if offset == Append {
		flags = os.O_APPEND
	}
	f, err := s.openToWrite(root, rel, flags, mode)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var to io.Writer = f
	if offset != Append {
		to = io.NewOffsetWriter(f, offset)
	}
	src := &source{r: r}
	if _, err := stream(to, src); err != nil {
		return "", src.blame(err)
	}
	s.mu.Lock() // of two writes at once each has a tag of its own
	defer s.mu.Unlock()
	stamp(f) // whoever has read it while it came has an older tag
	fi, err := f.Stat()
	if err != nil {
		return "", err
	}
	return ETag(fi), nil
}

// openToWrite opens a regular file, or makes it.
func (s *Store) openToWrite(root *os.Root, rel string, flags int, mode fs.FileMode) (*os.File, error) {
	flags |= os.O_WRONLY | syscall.O_NONBLOCK | syscall.O_NOCTTY
	f, err := root.OpenFile(rel, flags|os.O_CREATE|os.O_EXCL, 0o666)
	isNew := err == nil
	if errors.Is(err, fs.ErrExist) {
		f, err = root.OpenFile(rel, flags, 0)
	}
	if err != nil {
		return nil, err
	}
	if f, _, err = stillRegular(f); err != nil {
		return nil, err
	}
	if isNew {
		err = s.own(f)
	}
	if err == nil && mode.Perm() != 0 {
		err = f.Chmod(mode.Perm())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
