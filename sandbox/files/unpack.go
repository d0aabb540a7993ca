package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// An unpacker writes the entries of an archive below one directory. What an archive can bring is directories, regular
// files, links to regular files of the directory, and symbolic links that stay inside; a file takes its name when it is
// whole. Of a mode, only the permissions count, and the owner's are never less than needed to work with it.
type unpacker struct {
	s     *Store
	root  *os.Root // the directory
	names []string // absolute ones of the directory, to which links may lead
	fresh bool     // nobody sees the directory before all is in it
	dirs  []string // that get their modes at the end
	modes []fs.FileMode

	in   *os.Root // the directory of the last entry: mostly the next one's too
	inUp string   // its way from root, which no link is on
}

// parent makes and opens the directory that the entry name lies in. up is the way to it; strict refuses links there.
func (u *unpacker) parent(name string, strict bool) (in *os.Root, up, last string, err error) {
	if name == "." {
		return nil, "", "", badEntry(name, "is no directory")
	}
	dir, last := split(name)
	if u.in != nil && u.inUp == dir { // no entry can have put anything else in the place of a directory
		return u.in, dir, last, nil
	}
	up, err = follow(u.root, u.names, dir)
	switch {
	case errors.Is(err, errOutside):
		return nil, "", "", badEntry(name, "leads outside through a link")
	case err != nil:
		return nil, "", "", err
	case strict && up != dir:
		return nil, "", "", badEntry(name, "is a link behind a link")
	}
	if _, err := u.s.mkdirs(u.root, up); errors.Is(err, syscall.ENOTDIR) {
		return nil, "", "", badEntry(name, "lies below what is no directory")
	} else if err != nil {
		return nil, "", "", err
	}
	if in, err = u.root.OpenRoot(up); err != nil {
		return nil, "", "", err
	}
	u.close()
	u.in, u.inUp = in, up
	return in, up, last, nil
}

func (u *unpacker) close() {
	if u.in != nil {
		u.in.Close()
	}
	u.in = nil
}

// makeDir makes a directory, or takes the one that is there.
func (u *unpacker) makeDir(name string, mode fs.FileMode) error {
	if name == "." {
		return nil
	}
	_, up, _, err := u.parent(name+"/.", false)
	if err != nil {
		return err
	}
	if mode.Perm() != 0 && up != "." {
		u.dirs = append(u.dirs, up)
		u.modes = append(u.modes, mode.Perm()|0o700)
	}
	return nil
}

// writeFile writes a regular file of exactly size bytes from r.
func (u *unpacker) writeFile(name string, mode fs.FileMode, modified time.Time, size int64, r io.Reader) error {
	in, _, last, err := u.free(name, false)
	if err != nil {
		return err
	}
	d, err := u.begin(in, last)
	if err != nil {
		return err
	}
	defer d.Close()
	n, err := stream(d, io.LimitReader(r, size+1))
	if err != nil {
		return err
	}
	if n != size {
		return badEntry(name, fmt.Sprintf("has not the %d bytes it claims", size))
	}
	if err := u.s.own(d.File); err != nil {
		return err
	}
	if mode.Perm() != 0 {
		if err := d.Chmod(mode.Perm() | 0o600); err != nil {
			return err
		}
	}
	if d.name == last { // since begin
		d.name = ""
	} else if err := d.commit(last); err != nil {
		return err
	}
	if modified.IsZero() {
		return nil
	}
	return ignoreGone(in.Chtimes(last, time.Time{}, modified))
}

// begin is newDraft, but where nobody looks the file may have its name from the first.
func (u *unpacker) begin(in *os.Root, name string) (*draft, error) {
	if u.fresh {
		f, err := in.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) {
			return &draft{File: f, dir: in, name: name}, err
		}
	}
	return newDraft(in, 0o666)
}

// symlink makes a symbolic link. What has its name already is replaced, unless it is a directory.
func (u *unpacker) symlink(name, target string) error {
	if err := checkLink(name, target); err != nil {
		return err
	}
	in, _, last, err := u.free(name, true)
	if err != nil {
		return err
	}
	tmp := draftName()
	if err := in.Symlink(target, tmp); err != nil {
		return err
	}
	if u.s.gives() {
		if err := in.Lchown(tmp, u.s.c.UID, u.s.c.GID); err != nil {
			in.Remove(tmp)
			return err
		}
	}
	return rename(in, tmp, last)
}

// link makes another name for the regular file old of the directory.
func (u *unpacker) link(name, old string) error {
	from, err := follow(u.root, u.names, old)
	if errors.Is(err, errOutside) {
		return badEntry(name, "is a link to something outside")
	}
	if err != nil {
		return err
	}
	if fi, err := u.root.Lstat(from); err != nil || !fi.Mode().IsRegular() {
		return badEntry(name, fmt.Sprintf("is a link to %.300q, which is no file of the archive", old))
	}
	in, up, last, err := u.free(name, false)
	if err != nil {
		return err
	}
	tmp := draftName()
	if err := u.root.Link(from, up+"/"+tmp); err != nil {
		return err
	}
	return rename(in, tmp, last)
}

// free is parent, but refuses a name that a directory has.
func (u *unpacker) free(name string, strict bool) (in *os.Root, up, last string, err error) {
	in, up, last, err = u.parent(name, strict)
	if err != nil {
		return nil, "", "", err
	}
	if fi, err := in.Lstat(last); err == nil && fi.IsDir() {
		return nil, "", "", badEntry(name, "would replace a directory")
	}
	return in, up, last, nil
}

func rename(in *os.Root, tmp, name string) error {
	err := in.Rename(tmp, name)
	in.Remove(tmp) // after a success too: between two names of one file a rename does nothing
	return err
}

// finish gives the directories their modes: a closed one could not have been filled.
func (u *unpacker) finish() error {
	for i, dir := range u.dirs {
		if err := ignoreGone(u.root.Chmod(dir, u.modes[i])); err != nil {
			return err
		}
	}
	return nil
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	return err
}
