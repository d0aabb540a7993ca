package trees

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzUnpack unpacks whatever comes. Nothing appears but below the parts that are named, nothing but files, directories and links,
// none with a set-user-ID or set-group-ID mode, and no more than there may be. In a layer, which only root unpacks, there are such
// modes, and signs of what is gone; its files are those of its users, and have no attributes but theirs.
func FuzzUnpack(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeDir, Name: "part", Mode: 0o755}, {Typeflag: tar.TypeReg, Name: "part/file", Mode: 0o6755},
		{Typeflag: tar.TypeSymlink, Name: "part/away", Linkname: "/etc"}, {Typeflag: tar.TypeLink, Name: "part/again", Linkname: "part/file"},
	} {
		if err := w.WriteHeader(&h); err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.Clone(b.Bytes()))
	}
	for _, name := range []string{"../out", "/out", "part/away/out", "part/../../out", "other"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}); err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.Clone(b.Bytes()))
	}
	b.Reset()
	w = tar.NewWriter(&b)
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeDir, Name: "layer", Mode: 0o755}, {Typeflag: tar.TypeReg, Name: "layer/suid", Mode: 0o6755, Uid: 9},
		{Typeflag: tar.TypeReg, Name: "layer/.wh.gone"}, {Typeflag: tar.TypeReg, Name: "layer/.wh..wh..opq"},
		{Typeflag: tar.TypeReg, Name: "layer/.wh.file", PAXRecords: map[string]string{meansKey: meansFile, attrPrefix + "user.a": "b"}},
		{Typeflag: tar.TypeReg, Name: "layer/.wh..wh.x", PAXRecords: map[string]string{meansKey: meansGone}},
		{Typeflag: tar.TypeChar, Name: "layer/null", Devmajor: 1, Devminor: 3}, {Typeflag: tar.TypeReg, Name: "layer/host", Uid: 1000},
	} {
		if err := w.WriteHeader(&h); err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.Clone(b.Bytes()))
	}
	f.Fuzz(func(t *testing.T, archive []byte) {
		outer := t.TempDir()
		into := filepath.Join(outer, "into")
		if err := os.Mkdir(into, 0o700); err != nil {
			t.Fatal(err)
		}
		u := Unpacking{Bounds: Bounds{Files: 50, Bytes: 1 << 16}, Parts: []string{"part"}, UID: -1}
		if os.Geteuid() == 0 {
			u.Parts, u.Layers, u.Layered = []string{"part", "layer"}, []string{"layer"}, unpacked
		}
		_, failure := u.Unpack(t.Context(), tar.NewReader(bytes.NewReader(archive)), into)
		var files, size int64
		known := map[uint64]bool{}
		err := filepath.WalkDir(outer, func(path string, e fs.DirEntry, err error) error {
			name, _ := filepath.Rel(outer, path)
			if err != nil || name == "." || name == "into" {
				return err
			}
			i, err := e.Info()
			if err != nil {
				return err
			}
			s := i.Sys().(*syscall.Stat_t)
			layered := name == "into/layer" || strings.HasPrefix(name, "into/layer/")
			if name != "into/part" && !strings.HasPrefix(name, "into/part/") && (!layered || u.Layers == nil) {
				t.Errorf("%s has appeared (%v)", name, failure)
			}
			gone := layered && i.Mode().Type() == fs.ModeDevice|fs.ModeCharDevice && s.Rdev == 0
			users := layered && s.Uid-outermost < 10 && s.Gid-outermost < 10
			may := fs.ModePerm | fs.ModeDir | fs.ModeSymlink | fs.ModeSticky
			if users {
				may |= fs.ModeSetuid | fs.ModeSetgid
			}
			if m := i.Mode(); m&^may != 0 && !gone {
				t.Errorf("%s is %v of %d and %d", name, m, s.Uid, s.Gid)
			}
			if layered && !gone && !users && failure == nil { // else the last one may have been refused for that
				t.Errorf("%s is %d's and %d's", name, s.Uid, s.Gid)
			}
			if err := attributed(path); err != nil {
				t.Error(err)
			}
			files++
			if e.Type().IsRegular() && !known[s.Ino] { // one may have several names
				known[s.Ino], size = true, size+i.Size()
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if files > 50 || size > 1<<16 {
			t.Errorf("%d files with %d bytes", files, size)
		}
	})
}

// attributed says whether a file has attributes that it may not have.
func attributed(path string) error {
	names := make([]byte, 1<<16)
	n, err := unix.Llistxattr(path, names)
	if err != nil {
		return nil
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names[:n]), "\x00"), "\x00") {
		if name != "" && name != hides && !ofUsers(name) {
			return fmt.Errorf("%s has the attribute %q", path, name)
		}
	}
	return nil
}
