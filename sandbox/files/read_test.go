package files

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
)

func TestSliceLines(t *testing.T) {
	const five = "l1\nl2\nl3\nl4\nl5\n"
	for _, c := range []struct {
		start, end int
		want       string
	}{
		{0, -1, five},
		{1, 3, "l2\nl3\n"},
		{3, 1, "l4\n"},
		{4, 5, "l4\nl5\n"},
		{0, 100, five},
		{0, -5, "l1\n"},
		{2, -1, "l3\nl4\nl5\n"},
		{0, 0, "l1\n"},
		{1, 1, "l2\n"},
		{5, 6, "l4\nl5\n"},
		{9, 10, "l4\nl5\n"},
		{9, -1, ""},
		{-3, -1, five},
		{-3, 2, "l1\nl2\n"},
	} {
		if got := sliceLines(five, c.start, c.end); got != c.want {
			t.Errorf("start %d, end %d: %q, want %q", c.start, c.end, got, c.want)
		}
	}
	for _, c := range []struct{ in, want string }{{"", ""}, {"x", "x"}} {
		if got := sliceLines(c.in, 1, 2); got != c.want {
			t.Errorf("lines 1 to 2 of %q: %q, want %q", c.in, got, c.want)
		}
	}
}

func TestRead(t *testing.T) {
	s, dir := open(t)
	plant(t, dir, "crlf", "a\r\nb\rc\n")
	plant(t, dir, "latin", "caf\xe9\n")
	plant(t, dir, "nul", "a\x00b")
	plant(t, dir, "tiny.GIF", "GIF89a\x00\xff")
	plant(t, dir, "doc.pdf", "%PDF\x00")
	plant(t, dir, "clip.ogg", "OggS")
	plant(t, dir, "d/in", "x")
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	full := func(name string) string { return dir + "/" + name }
	for _, c := range []struct {
		path, impl     string
		kind           sandbox.Kind
		content, where string
	}{
		{"crlf", "", sandbox.KindRead, "a\nb\nc\n", full("crlf")},
		{"./d//in", "nonsense", sandbox.KindRead, "x", full("d/in")},
		{full("tiny.GIF"), "", sandbox.KindRead, "data:image/gif;base64,R0lGODlhAP8=", full("tiny.GIF")},
		{"tiny.GIF", "", sandbox.KindRead, "data:image/gif;base64,R0lGODlhAP8=", full("tiny.GIF")},
		{"doc.pdf", "default", sandbox.KindRead, "data:application/pdf;base64,JVBERgA=", full("doc.pdf")},
		{"clip.ogg", "", sandbox.KindRead, "data:audio/ogg;base64,T2dnUw==", full("clip.ogg")},
		{full("nul"), "", sandbox.KindError, "ERROR_BINARY_FILE", ""},
		{full("doc.pdf"), "oh_aci", sandbox.KindError, "ERROR_BINARY_FILE", ""},
		{"nul", "", sandbox.KindRead, "a\x00b", full("nul")}, // as the original: not looked at, and valid UTF-8
		{"nope.txt", "", sandbox.KindError, "File not found: " + full("nope.txt") + ". Your current working directory is " + dir + ".", ""},
		{"crlf/x", "", sandbox.KindError, "File not found: " + full("crlf/x") + ". Your current working directory is " + dir + ".", ""},
		{"d", "", sandbox.KindError, "Path is a directory: " + full("d") + ". You can only read files", ""},
		{"", "", sandbox.KindError, "Path is a directory: " + dir + ". You can only read files", ""},
		{"latin", "", sandbox.KindError, "File could not be decoded as utf-8: " + full("latin") + ".", ""},
		{"fifo", "", sandbox.KindError, "Path is not a regular file: " + full("fifo") + ". You can only read files", ""},
		{full("sock"), "", sandbox.KindError, "Path is not a regular file: " + full("sock") + ". You can only read files", ""},
		{"/dev/zero", "", sandbox.KindError, "Path is not a regular file: /dev/zero. You can only read files", ""},
		{"crlf", "oh_aci", sandbox.KindRead, "ERROR:\nInvalid `path` parameter: crlf. The path should be an absolute path, starting with `/`. Maybe you meant " + full("crlf") + "?", "crlf"},
		{full("crlf"), "oh_aci", sandbox.KindRead, "Here's the result of running `cat -n` on " + full("crlf") + ":\n     1\ta\n     2\tb\n     3\tc\n     4\t\n", full("crlf")},
	} {
		o, err := s.Read(dir, sandbox.ReadArgs{Path: c.path, End: -1, Impl: c.impl})
		if err != nil || o.Kind() != c.kind || o.Content != c.content {
			t.Errorf("read %s: %s %q, %v; want %s %q", c.path, o.Kind(), o.Content, err, c.kind, c.content)
			continue
		}
		impl := "default"
		if c.impl == "oh_aci" {
			impl = c.impl
		}
		if r, ok := o.Result.(sandbox.ReadResult); ok && (r.Path != c.where || r.Impl != impl) {
			t.Errorf("read %s: result %+v, want path %s", c.path, r, c.where)
		}
	}
}

func TestReadBounds(t *testing.T) {
	dir := t.TempDir()
	s, err := New(Config{Dir: dir, UID: -1, MaxRead: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	p := plant(t, dir, "sparse", "")
	if err := os.Truncate(p, 1<<40); err != nil {
		t.Fatal(err)
	}
	o, err := s.Read(dir, sandbox.ReadArgs{Path: "sparse", End: -1})
	if want := "File is too large: " + p + ". Maximum allowed size is 1MB."; err != nil || o.Content != want {
		t.Errorf("read of a file of 1 TB: %q, %v; want %q", o.Content, err, want)
	}
	for _, path := range []string{"a\x00b", "\xff", strings.Repeat("n", 300), strings.Repeat("d/", 3000)} {
		_, err := s.Read(dir, sandbox.ReadArgs{Path: path, End: -1})
		wantCode(t, err, sandbox.Invalid)
		_, err = s.Write(dir, sandbox.WriteArgs{Path: path, End: -1})
		wantCode(t, err, sandbox.Invalid)
	}
}

func TestBinary(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     bool
	}{
		{"empty", "", false},
		{"ascii", "hello\n", false},
		{"utf-8", strings.Repeat("漢字", 10), false},
		{"utf-8 cut in a rune", strings.Repeat("x", 1023) + "\xc3", false},
		{"latin-1", "caf\xe9", false},
		{"0xff", "caf\xff", true},
		{"nul", "a\x00", true},
		{"control", "\xe9\x01\x02\x03", true},
		{"utf-16", "\xff\xfeh\x00i\x00", false},
		{"utf-16 with a nul", "\xff\xfeh\x00\x00\x00", true},
		{"utf-32", "\xff\xfe\x00\x00h\x00\x00\x00", true},
	} {
		if got := looksBinary([]byte(c.in)); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
}
