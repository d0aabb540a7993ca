package files

import (
	"archive/zip"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sandtree/sandtree/sandbox"
)

// Upload takes a file for the OpenHands upload request: dest is the directory it goes to, absolute and made if missing,
// and of filename only what follows the last '/' counts. A recursive upload, or any whose name ends in ".zip", is an
// archive that is unpacked into dest and not kept. It is checked first: one with a name or link that would lead out of
// dest, with a device, or that unpacks to more than Config.MaxUnpacked, to 1,100 times its size or to more than the disk has
// free, changes nothing. Execute bits are kept. The texts of errors are those of the original where it has one.
// Codes: Invalid, Denied, NotFound, Conflict, Exhausted, Canceled (r failed).
func (s *Store) Upload(dest, filename string, recursive bool, r io.Reader) error {
	invalid := func(err error) error { return &sandbox.Error{Code: sandbox.Invalid, Op: "files.Upload", Err: err} }
	if !filepath.IsAbs(dest) {
		return invalid(errors.New("400: Destination must be an absolute path"))
	}
	if err := checkPath(dest); err != nil {
		return invalid(err)
	}
	_, name := split(filename)
	if err := checkPath(name); err != nil || name == "" || name == "." || name == ".." {
		return invalid(fmt.Errorf("400: %.300q is no name for a file", filename))
	}
	archive := strings.HasSuffix(name, ".zip")
	if recursive && !archive {
		return invalid(errors.New("400: Recursive uploads must be zip files"))
	}
	dest = tidy(dest)
	root, names, err := s.openDest(dest)
	if err != nil {
		return &sandbox.Error{Code: codeOf(err), Op: "files.Upload", Err: errors.New(python(err, dest))}
	}
	defer root.Close()
	full := strings.TrimSuffix(dest, "/") + "/" + name
	if archive {
		err = s.uploadZip(root, names, r)
		if errors.Is(err, errNotZip) {
			return invalid(fmt.Errorf("%s is not a zip file", full))
		}
	} else {
		err = s.uploadFile(root, names, name, r)
	}
	if err != nil {
		return fail("Upload", full, err)
	}
	return nil
}

// openDest makes and opens the directory that an upload goes to.
func (s *Store) openDest(dest string) (*os.Root, []string, error) {
	if err := s.makeParents(dest); err != nil {
		return nil, nil, err
	}
	if !isDir(dest) {
		return nil, nil, &fs.PathError{Op: "mkdir", Path: dest, Err: syscall.EEXIST}
	}
	names := []string{dest}
	if real, err := filepath.EvalSymlinks(dest); err == nil && real != dest {
		names = append(names, real)
	}
	root, err := os.OpenRoot(dest)
	return root, names, err
}

func (s *Store) uploadFile(root *os.Root, names []string, name string, r io.Reader) error {
	rel, err := follow(root, names, name)
	if errors.Is(err, errOutside) {
		return &sandbox.Error{Code: sandbox.Denied, Op: "files.Upload", Err: fmt.Errorf("%.300q is a link that leads outside %s", name, names[0])}
	}
	if err != nil {
		return err
	}
	if _, err := target(root, rel); err != nil {
		return err
	}
	dir, last := split(rel)
	_, err = s.put(root, dir, last, name, r, PutOptions{})
	return err
}

var errNotZip = errors.New("is not a zip file")

// uploadZip keeps the archive in a file without a name while it is unpacked: its table of contents is at its end.
func (s *Store) uploadZip(root *os.Root, names []string, r io.Reader) error {
	d, err := newDraft(root, 0o600)
	if err != nil {
		return err
	}
	defer d.Close()
	src := &source{r: r}
	size, err := stream(d, src)
	if err != nil {
		return src.blame(err)
	}
	err = s.unzip(d.File, size, root, names)
	if _, ours := errors.AsType[*sandbox.Error](err); ours || !badZip(err) {
		return err
	}
	return fmt.Errorf("%w: %w", errNotZip, err)
}

// badZip says whether err is the archive's fault.
func badZip(err error) bool {
	for _, bad := range []error{zip.ErrFormat, zip.ErrAlgorithm, zip.ErrChecksum, io.ErrUnexpectedEOF, io.EOF} {
		if errors.Is(err, bad) {
			return true
		}
	}
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	return corrupt
}
