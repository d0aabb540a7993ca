package files

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/sandtree/sandtree/sandbox"
)

// A draft is a file that is being written: nobody sees it before commit gives it its name, and if that never happens
// nothing is left. Where the system can, it has no name at all until then, so that even SIGKILL leaves nothing.
type draft struct {
	*os.File
	dir  *os.Root // where it will be; stays the caller's
	name string   // for the time being; "" if it has none
}

const (
	draftPrefix = ".sandtree-"
	draftSuffix = ".tmp"
)

func draftName() string { return draftPrefix + sandbox.RandomHex(8) + draftSuffix }

// newDraft begins a file in dir. perm is cut by the umask, as it is for open(2).
func newDraft(dir *os.Root, perm fs.FileMode) (*draft, error) {
	if f, err := openNameless(dir, perm); err == nil {
		return &draft{File: f, dir: dir}, nil
	}
	name := draftName()
	f, err := dir.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, err
	}
	return &draft{File: f, dir: dir, name: name}, nil
}

// commit gives the draft its name, whatever had it before. It fails with EEXIST if that is a directory.
func (d *draft) commit(name string) error {
	if d.name == "" {
		err := linkNameless(d.File, d.dir, name)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		tmp := draftName() // only a rename replaces
		if err := linkNameless(d.File, d.dir, tmp); err != nil {
			return err
		}
		d.name = tmp
	}
	if exchange(d.dir, d.name, name) {
		return nil // Close removes the old file, which has the draft's name now
	}
	if err := d.dir.Rename(d.name, name); err != nil {
		return err
	}
	d.name = ""
	return nil
}

// Close ends the draft, and what was not committed with it. Its error is that of writing.
func (d *draft) Close() error {
	err := d.File.Close()
	if d.name != "" {
		d.dir.Remove(d.name)
	}
	return err
}

// like gives the draft the mode and owner of the file it will replace. EPERM: the server may not give files away.
func (d *draft) like(old fs.FileInfo) error {
	fi, err := d.Stat()
	if err != nil {
		return err
	}
	was, is := old.Sys().(*syscall.Stat_t), fi.Sys().(*syscall.Stat_t)
	if was.Uid != is.Uid || was.Gid != is.Gid {
		if err := d.Chown(int(was.Uid), int(was.Gid)); err != nil {
			return err
		}
	}
	return d.Chmod(old.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)) // after: chown takes bits away
}

// gives says whether new files are to be given to the configured owner.
func (s *Store) gives() bool { return s.c.UID >= 0 && s.c.GID >= 0 && os.Geteuid() == 0 }

// own gives a new file to the configured owner.
func (s *Store) own(f *os.File) error {
	if !s.gives() {
		return nil
	}
	return f.Chown(s.c.UID, s.c.GID)
}
