package trees

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// FuzzUnpack unpacks whatever comes. Nothing appears but below the parts that are named, nothing but files, directories and links,
// none with a set-user-ID or set-group-ID mode, and no more than there may be.
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
	f.Fuzz(func(t *testing.T, archive []byte) {
		outer := t.TempDir()
		into := filepath.Join(outer, "into")
		if err := os.Mkdir(into, 0o700); err != nil {
			t.Fatal(err)
		}
		u := Unpacking{Bounds: Bounds{Files: 50, Bytes: 1 << 16}, Parts: []string{"part"}, UID: -1}
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
			if name != "into/part" && !strings.HasPrefix(name, "into/part/") {
				t.Errorf("%s has appeared (%v)", name, failure)
			}
			if m := i.Mode(); m&^(fs.ModePerm|fs.ModeDir|fs.ModeSymlink|fs.ModeSticky) != 0 {
				t.Errorf("%s is %v", name, m)
			}
			files++
			if s := i.Sys().(*syscall.Stat_t); e.Type().IsRegular() && !known[s.Ino] { // one may have several names
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
