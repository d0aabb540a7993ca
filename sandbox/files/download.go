package files

import (
	"archive/zip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// DownloadName is the name under which Download's archive of path is offered, or the error that Download would begin
// with, whose text is the original's: a server needs both before the first byte. Codes: Invalid, NotFound, Denied.
func (s *Store) DownloadName(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", &sandbox.Error{Code: sandbox.Invalid, Op: "files.Download", Err: errors.New("400: Path must be an absolute path")}
	}
	if err := checkPath(path); err != nil {
		return "", refuse(sandbox.Invalid, "Download", path, "%w", err)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", &sandbox.Error{Code: sandbox.NotFound, Op: "files.Download", Err: errors.New("404: File not found")}
	} else if err != nil {
		return "", fail("Download", path, err)
	}
	_, name := split(path)
	return name + ".zip", nil
}

// Download writes the files below the directory path as a zip archive to w, for the OpenHands download request: not
// compressed, named relative to path, with their modes, without entries for directories. Links to files are followed,
// those to directories are not. What cannot be read, and what is no regular file, is left out; once the first byte is written
// nothing but w can fail. A path that is a file gives an empty archive. Memory does not grow with the size of files.
// Codes: Invalid, NotFound, Denied (all before the first byte); w's own error is returned as it is.
func (s *Store) Download(path string, w io.Writer) error {
	if _, err := s.DownloadName(path); err != nil {
		return err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // WalkDir does not enter a link
	}
	z := zip.NewWriter(w)
	err := filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || p == path {
			return nil // what cannot be read is left out, and what could of it goes on
		}
		return zipFile(z, p, strings.TrimPrefix(p[len(path):], "/"))
	})
	if err != nil {
		return err
	}
	return z.Close()
}

// zipFile adds the file p to z. Its errors are those of z's writer.
func zipFile(z *zip.Writer, p, name string) error {
	f, fi, err := openRegular(p)
	if err != nil {
		return nil
	}
	defer f.Close()
	h := &zip.FileHeader{Name: name, Method: zip.Store, Modified: fi.ModTime()}
	h.SetMode(fi.Mode())
	out, err := z.CreateHeader(h)
	if err != nil {
		return err
	}
	// No more than it had when it was opened: a log may grow faster than it is sent. A read that fails ends it early.
	src := &source{r: io.LimitReader(f, fi.Size())}
	if _, err := stream(out, src); err != nil && src.err == nil {
		return err
	}
	return nil
}
