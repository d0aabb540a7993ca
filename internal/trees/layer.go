package trees

import (
	"archive/tar"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// An archive says of a layer of an overlay what is gone and what is hidden as layers of images say it: see layer.md of OCI's
// image specification. There, names that begin as such marks do mean nothing else. A program may give a file any name: one that
// begins so has a record that says what it is.
const (
	gonePrefix = ".wh."           // and the name of what is gone
	hidesMark  = ".wh..wh..opq"   // in a directory that hides the one below it
	meansKey   = "SANDTREE.means" // the record of an entry whose name begins with gonePrefix twice, or means itself
	meansFile  = "file"           // it means itself
	meansGone  = "gone"           // what comes after the prefix is gone, whatever that begins with
	attrPrefix = "SCHILY.xattr."  // of records with attributes, as other programs write them
)

// Layered says how a part is packed, or unpacked, that is a layer of an overlay: with owners, set-user-ID and set-group-ID modes,
// attributes of users, and what says that something of the layers below is gone. Nobody else may be able to reach the files.
type Layered struct {
	// Owner says whose a file is to be, in the archive or out of it, that is uid's and gid's; false if it cannot be.
	Owner func(uid, gid uint32) (uint32, uint32, bool)
}

// records are those of an entry that say something of a file of a layer.
func records(h *tar.Header) map[string]string {
	all := map[string]string{}
	for key, value := range h.PAXRecords {
		if key == meansKey || strings.HasPrefix(key, attrPrefix) {
			all[key] = value
		}
	}
	return all
}

// weight is how much the records of an entry hold, in bytes.
func weight(h *tar.Header) (bytes int64) {
	for key, value := range records(h) {
		bytes += int64(len(key) + len(value))
	}
	return bytes
}

// record gives the entry of a file of a layer what only such have; fd is the file, or -1.
func (p *packer) record(h *tar.Header, name string, fd int, s unix.Stat_t) error {
	if p.layered == nil {
		return nil
	}
	uid, gid, ok := p.layered.Owner(s.Uid, s.Gid)
	if !ok {
		return fmt.Errorf("%.300q is nobody's who could be in an archive", h.Name)
	}
	h.Uid, h.Gid, h.PAXRecords = int(uid), int(gid), map[string]string{}
	if strings.HasPrefix(name, gonePrefix) {
		h.PAXRecords[meansKey] = meansFile
	}
	if h.Typeflag == tar.TypeSymlink || h.Typeflag == tar.TypeLink {
		return nil
	}
	h.Mode = int64(s.Mode & 0o7777)
	return eachAttribute(fd, func(name string, value []byte) error {
		if ofUsers(name) && !strings.Contains(name, "=") { // which no record could be called
			h.PAXRecords[attrPrefix+name] = string(value)
		}
		return nil
	})
}

// gone says that a name is gone, which is the last one of at.
func (p *packer) gone(at, name string, s unix.Stat_t) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimSuffix(at, name) + gonePrefix + name, ModTime: modified(s)}
	if strings.HasPrefix(name, gonePrefix) {
		h.PAXRecords = map[string]string{meansKey: meansGone}
	}
	return p.write(h)
}

// opaque says of a directory that it hides the one below it, if it does.
func (p *packer) opaque(l *level, at string, s unix.Stat_t) error {
	value := make([]byte, 2)
	if n, err := unix.Fgetxattr(l.src.fd(), hides, value); err != nil || string(value[:n]) != "y" {
		return nil
	}
	return p.write(&tar.Header{Typeflag: tar.TypeReg, Name: at + "/" + hidesMark, ModTime: modified(s)})
}

// mark does what an entry of a layer says that is no file. false if it is one.
func mark(at int, base, name string, h *tar.Header) (bool, error) {
	what, marked := strings.CutPrefix(base, gonePrefix)
	means := h.PAXRecords[meansKey]
	switch {
	case !marked || means == meansFile:
		return false, nil
	case h.Typeflag != tar.TypeReg || h.Size != 0:
		return true, errArchive(name, "it is named as what is gone, and is a file")
	case means == "" && base == hidesMark:
		d, err := openDir(at, ".")
		if err != nil {
			return true, err
		}
		defer d.Close()
		return true, unix.Fsetxattr(int(d.Fd()), hides, []byte("y"), unix.XATTR_CREATE)
	case what == "", what == ".", what == "..", means == "" && strings.HasPrefix(what, gonePrefix), means != "" && means != meansGone:
		return true, errArchive(name, "it says of nothing that it is gone")
	}
	return true, unix.Mknodat(at, what, unix.S_IFCHR, 0) // which opens nothing: it is the kernel's sign
}

// dress gives a new file, or directory, its owner, attributes and mode, in an order in which it is never more than it is to be.
func (w *unpacker) dress(f *os.File, h *tar.Header, name string, least uint32) error {
	l := w.layered(name)
	if l == nil {
		if w.UID >= 0 {
			if err := f.Chown(w.UID, w.GID); err != nil {
				return err
			}
		}
		return unix.Fchmod(int(f.Fd()), uint32(h.Mode)&0o1777|least)
	}
	uid, gid, err := l.owner(h, name)
	if err == nil {
		err = f.Chown(uid, gid)
	}
	if err == nil {
		err = attribute(int(f.Fd()), h, name)
	}
	if err != nil {
		return err
	}
	return unix.Fchmod(int(f.Fd()), uint32(h.Mode)&0o7777)
}

// owner says whose an entry of a layer is to be.
func (l *Layered) owner(h *tar.Header, name string) (int, int, error) {
	if most := 1<<31 - 1; h.Uid < 0 || h.Gid < 0 || h.Uid > most || h.Gid > most {
		return 0, 0, errArchive(name, "it is nobody's")
	}
	uid, gid, ok := l.Owner(uint32(h.Uid), uint32(h.Gid))
	if !ok {
		return 0, 0, errArchive(name, fmt.Sprintf("it is %d's and %d's, who are not in a sandbox", h.Uid, h.Gid))
	}
	return int(uid), int(gid), nil
}

// attribute gives a file of a layer its attributes.
func attribute(fd int, h *tar.Header, name string) error {
	for key, value := range h.PAXRecords {
		attribute, is := strings.CutPrefix(key, attrPrefix)
		if !is {
			continue
		}
		if !ofUsers(attribute) {
			return errArchive(name, "it has an attribute that it may not have")
		}
		switch err := unix.Fsetxattr(fd, attribute, []byte(value), 0); {
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ERANGE), errors.Is(err, unix.E2BIG):
			return errArchive(name, "it has an attribute that none can have")
		case err != nil && !errors.Is(err, unix.ENOTSUP):
			return &os.PathError{Op: "setxattr", Path: name, Err: err}
		}
	}
	return nil
}
