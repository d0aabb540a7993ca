package trees

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/testing/need"
)

// outermost is the first of ten users of the tests' layers; in an archive they are the first ten.
const outermost = 0x70000000

var (
	packed = &Layered{Owner: func(uid, gid uint32) (uint32, uint32, bool) {
		return uid - outermost, gid - outermost, uid-outermost < 10 && gid-outermost < 10
	}}
	unpacked = &Layered{Owner: func(uid, gid uint32) (uint32, uint32, bool) {
		return uid + outermost, gid + outermost, uid < 10 && gid < 10
	}}
)

// plantLayer makes a layer with one of each, of which some have names that mean something in archives.
func plantLayer(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layer")
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.MkdirAll(at("sub/.wh.dir"), 0o755), os.Mkdir(at("opaque"), 0o750),
		unix.Setxattr(at("opaque"), hides, []byte("y"), 0), unix.Setxattr(at("sub"), "user.dir", nil, 0),
		os.WriteFile(at("sub/file"), []byte("content"), 0o644), os.Chmod(at("sub/file"), os.ModeSetuid|os.ModeSetgid|0o755),
		os.Link(at("sub/file"), at(".wh.again")), unix.Setxattr(at("sub/file"), "user.note", []byte("a\x00=b\n"), 0),
		unix.Setxattr(at("sub/file"), "trusted.other", []byte("left out"), 0), os.Symlink("/etc/passwd", at("link")),
		os.WriteFile(at("sub/.wh..wh..opq"), nil, 0o600), os.WriteFile(at("opaque/.wh.x"), []byte("x"), 0o600),
		unix.Mknod(at("sub/gone"), unix.S_IFCHR, 0), unix.Mknod(at(".wh.gone"), unix.S_IFCHR, 0), unix.Mknod(at("sub/.wh..opq"), unix.S_IFCHR, 0),
		unix.Mknod(at("sub/.wh..wh.y"), unix.S_IFCHR, 0), unix.Mknod(at("sub/"+strings.Repeat("n", 255)), unix.S_IFCHR, 0),
		filepath.WalkDir(dir, func(path string, e fs.DirEntry, _ error) error {
			if e.Type().IsRegular() {
				return nil
			}
			return os.Lchown(path, outermost+1, outermost+2)
		}),
		os.Chmod(at("sub"), os.ModeSetgid|0o711),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"sub/file", "sub/.wh..wh..opq", "opaque/.wh.x"} { // which a change of owner takes modes from
		s, _ := os.Stat(at(name))
		if err := errors.Join(os.Chown(at(name), outermost+9, outermost), os.Chmod(at(name), s.Mode())); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// seen is what there is in a layer, by names.
func seen(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		i, err := e.Info()
		if err != nil {
			return err
		}
		s := i.Sys().(*syscall.Stat_t)
		said := i.Mode().String()
		if e.Type()&fs.ModeDevice == 0 {
			said += string(rune('0'+s.Uid-outermost)) + string(rune('0'+s.Gid-outermost))
		}
		if e.Type().IsRegular() {
			b, _ := os.ReadFile(path)
			said += string(b) + i.ModTime().UTC().Format("15:04:05") + string(rune('0'+s.Nlink))
		}
		for _, name := range []string{hides, "user.dir", "user.note"} {
			value := make([]byte, 99)
			if n, err := unix.Lgetxattr(path, name, value); err == nil {
				said += name + "=" + string(value[:n])
			}
		}
		name, _ := filepath.Rel(dir, path)
		all[name] = said
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestPackLayer packs and unpacks a layer: it is the same. As any other directory it has neither owners nor what is gone.
func TestPackLayer(t *testing.T) {
	need.Root(t)
	from := plantLayer(t)
	pack := func(layer *Layered) ([]byte, Part) {
		t.Helper()
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		d, err := os.Open(from)
		if err != nil {
			t.Fatal(err)
		}
		part, err := Bounds{}.Pack(t.Context(), w, d, "p", layer)
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		return b.Bytes(), part
	}
	archive, part := pack(packed)
	to := t.TempDir()
	u := Unpacking{Parts: []string{"p"}, Layers: []string{"p"}, Layered: unpacked, UID: -1}
	parts, err := u.Unpack(t.Context(), tar.NewReader(bytes.NewReader(archive)), to)
	if err != nil || parts["p"] != part || part.Bytes < 8+10 {
		t.Fatalf("packed %+v, unpacked %+v, %v", part, parts, err)
	}
	want, got := seen(t, from), seen(t, filepath.Join(to, "p"))
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%s is %q and was %q", name, got[name], want[name])
		}
	}
	if len(got) != len(want) {
		t.Errorf("there are %d of %d: %q", len(got), len(want), got)
	}
	if n, err := unix.Getxattr(filepath.Join(to, "p/sub/file"), "trusted.other", nil); err == nil {
		t.Errorf("an attribute that is not a user's has come along: %d bytes", n)
	}
	_, plain := pack(nil)
	if plain.Files != part.Files-6 || plain.Bytes != 8 {
		t.Errorf("as a directory it has %+v", plain)
	}
	if err := os.Lchown(filepath.Join(from, "link"), 0, 0); err != nil { // of the host's
		t.Fatal(err)
	}
	d, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (Bounds{}).Pack(t.Context(), tar.NewWriter(&bytes.Buffer{}), d, "p", packed); err == nil || !strings.Contains(err.Error(), "nobody's") {
		t.Errorf("with a file of the host's: %v", err)
	}
}

// TestHostileLayers unpacks layers that are made to do harm.
func TestHostileLayers(t *testing.T) {
	need.Root(t)
	dir := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755} }
	file := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644} }
	says := func(h tar.Header, records ...string) tar.Header {
		h.PAXRecords = map[string]string{}
		for i := 0; i < len(records); i += 2 {
			h.PAXRecords[records[i]] = records[i+1]
		}
		return h
	}
	for name, entries := range map[string][]tar.Header{
		"device":            {{Typeflag: tar.TypeChar, Name: "p/null", Devmajor: 1, Devminor: 3}},
		"sign as a device":  {{Typeflag: tar.TypeChar, Name: "p/gone"}},
		"nothing is gone":   {file("p/.wh.")},
		"itself is gone":    {file("p/.wh..")},
		"what is above":     {file("p/.wh...")},
		"reserved":          {file("p/.wh..wh.aufs")},
		"gone twice":        {file("p/.wh.x"), file("p/.wh.x")},
		"gone and there":    {file("p/x"), file("p/.wh.x")},
		"in what is gone":   {file("p/.wh.x"), file("p/x/y")},
		"gone directory":    {dir("p/.wh.x")},
		"link of a mark":    {file("p/.wh.x"), {Typeflag: tar.TypeLink, Name: "p/y", Linkname: "p/x"}},
		"link as a mark":    {file("p/x"), {Typeflag: tar.TypeLink, Name: "p/.wh.y", Linkname: "p/x"}},
		"link elsewhere":    {dir("q"), file("q/x"), {Typeflag: tar.TypeLink, Name: "p/y", Linkname: "q/x"}},
		"link from there":   {file("p/x"), dir("q"), {Typeflag: tar.TypeLink, Name: "q/y", Linkname: "p/x"}},
		"hides twice":       {file("p/.wh..wh..opq"), file("p/.wh..wh..opq")},
		"nobody's":          {{Typeflag: tar.TypeReg, Name: "p/x", Uid: 10}},
		"nobody's group":    {{Typeflag: tar.TypeSymlink, Name: "p/x", Linkname: "y", Gid: 0x70000000}},
		"below zero":        {{Typeflag: tar.TypeDir, Name: "p/x", Uid: -1, Format: tar.FormatGNU}},
		"an unknown mark":   {says(file("p/.wh.x"), meansKey, "more")},
		"hiding attribute":  {says(dir("p/x"), attrPrefix+hides, "y")},
		"capability":        {says(file("p/x"), attrPrefix+"security.capability", "x")},
		"a layer's":         {says(file("p/x"), attrPrefix+"user.overlay.redirect", "/etc")},
		"no attribute":      {says(file("p/x"), attrPrefix+"user.", "x")},
		"a large attribute": {says(file("p/x"), attrPrefix+"user.large", strings.Repeat("x", 70<<10))},
		"up":                {file("p/../../out")},
		"through a link":    {{Typeflag: tar.TypeSymlink, Name: "p/l", Linkname: "/tmp"}, file("p/l/.wh.out")},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			for _, h := range append([]tar.Header{dir("p")}, entries...) {
				if err := w.WriteHeader(&h); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			above := t.TempDir()
			into := filepath.Join(above, "into")
			if err := os.Mkdir(into, 0o755); err != nil {
				t.Fatal(err)
			}
			u := Unpacking{Parts: []string{"p", "q"}, Layers: []string{"p"}, Layered: unpacked, UID: -1}
			if _, err := u.Unpack(t.Context(), tar.NewReader(&b), into); !errors.Is(err, ErrArchive) {
				t.Errorf("unpacked: %v", err)
			}
			if all, _ := os.ReadDir(above); len(all) != 1 {
				t.Errorf("outside there is %v", all)
			}
		})
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []tar.Header{dir("p"), says(file("p/x"), attrPrefix+"user.note", strings.Repeat("x", 2000))} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	u := Unpacking{Parts: []string{"p"}, Layers: []string{"p"}, Layered: unpacked, Bounds: Bounds{Bytes: 1000}}
	if _, err := u.Unpack(t.Context(), tar.NewReader(&b), t.TempDir()); !errors.Is(err, ErrMuch) {
		t.Errorf("attributes beyond the bound: %v", err)
	}
}
