package runtimetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"strings"
	"testing/iotest"

	"github.com/sandtree/sandtree/sandbox"
)

// transfer is about files that go in and out.
var transfer = []test{
	{"put, then get", func(r *rig) {
		for path, text := range map[string]string{"a": "hello", "deep/er/b c": "Grüße\x00\xff", "empty": ""} {
			r.put(path, text)
			if got, err := r.get(path); err != nil || got != text {
				r.Errorf("%s: %q, %v", path, got, err)
			}
		}
		r.prints("cat a; echo; wc -c < empty", "hello\n0", 0)
		r.put("a", "replaced")
		r.prints("cat a", "replaced", 0)
		home := r.sh("pwd")
		if got, err := r.get(home + "/a"); err != nil || got != "replaced" {
			r.Errorf("by its whole path: %q, %v", got, err)
		}
	}},
	{"much", func(r *rig) {
		const size = 20 << 20
		sum := sha256.New()
		if err := r.rt.Put(r.context(), "much", io.TeeReader(io.LimitReader(&pattern{}, size), sum)); err != nil {
			r.Fatal(err)
		}
		r.prints("wc -c < much", "20971520", 0)
		got := sha256.New()
		if err := r.rt.Get(r.context(), "much", got); err != nil || !bytes.Equal(got.Sum(nil), sum.Sum(nil)) {
			r.Errorf("it came back changed, %v", err)
		}
		r.sh("rm much")
	}},
	{"a put that breaks off changes nothing", func(r *rig) {
		r.put("whole", "old")
		broken := errors.New("the source broke off")
		src := io.MultiReader(io.LimitReader(&pattern{}, 1<<20), iotest.ErrReader(broken))
		if err := r.rt.Put(r.context(), "whole", src); err == nil {
			r.Error("it succeeded")
		}
		if got, err := r.get("whole"); err != nil || got != "old" {
			r.Errorf("%.20q, %v", got, err)
		}
		r.want("what is left", r.sh("ls -A | grep -v -e '^a$' -e '^deep$' -e '^empty$' -e '^whole$'; true"), "")
	}},
	{"a get whose reader breaks off", func(r *rig) {
		r.put("whole", strings.Repeat("x", 1<<20))
		if err := r.rt.Get(r.context(), "whole", brokenWriter{}); err == nil {
			r.Error("it succeeded")
		}
		if err := r.rt.Ping(r.context()); err != nil {
			r.Errorf("and then: %v", err)
		}
	}},
	{"list", func(r *rig) {
		r.sh("mkdir -p list/Zdir list/adir list/.hid 'list/sp ace' && cd list && touch B.txt a.txt .dot && ln -s adir linkdir && cd ..")
		names, err := r.rt.List(r.context(), "list")
		if want := []string{".hid/", "adir/", "linkdir/", "sp ace/", "Zdir/", ".dot", "a.txt", "B.txt"}; err != nil || !slices.Equal(names, want) {
			r.Errorf("%q, %v; want %q", names, err, want)
		}
		for _, path := range []string{"", "."} {
			if names, err := r.rt.List(r.context(), path); err != nil || !slices.Contains(names, "list/") {
				r.Errorf("List(%q): %q, %v", path, names, err)
			}
		}
		r.sh("mkdir -p nothing")
		if names, err := r.rt.List(r.context(), "nothing"); err != nil || len(names) != 0 {
			r.Errorf("an empty directory: %q, %v", names, err)
		}
	}},
	{"what is not there", func(r *rig) {
		_, err := r.get("missing")
		r.wantCode("Get", err, sandbox.NotFound)
		_, err = r.rt.List(r.context(), "missing")
		r.wantCode("List", err, sandbox.NotFound)
		r.wantCode("GetTree", r.rt.GetTree(r.context(), "missing", io.Discard), sandbox.NotFound)
		if _, err := r.get("list"); err == nil {
			r.Error("a directory was got as a file")
		}
		if err := r.rt.Put(r.context(), "list", strings.NewReader("x")); err == nil {
			r.Error("a directory was replaced by a file")
		}
	}},
	{"nothing leads outside", func(r *rig) {
		r.sh("mkdir -p d && ln -sf /etc etc && ln -sf /etc/passwd passwd && ln -sf ../../../../../../../../etc d/up && ln -sf /nowhere/new dangling")
		for _, path := range []string{"../../etc/shadow", "../../../../../../../../etc/passwd", "d/../../x", "etc/passwd", "passwd", "d/up/passwd", "/etc/passwd", "/../etc/passwd", "/proc/self/environ"} {
			_, err := r.get(path)
			r.wantCode("Get "+path, err, sandbox.Denied)
			if path != "passwd" && path != "d/../../x" {
				_, err = r.rt.List(r.context(), path[:strings.LastIndexByte(path, '/')])
				r.wantCode("List above "+path, err, sandbox.Denied)
			}
		}
		for _, path := range []string{"../put", "../../../../../../../../tmp/runtimetest-escape", "etc/runtimetest-escape", "/tmp/runtimetest-escape", "d/up/runtimetest-escape"} {
			r.wantCode("Put "+path, r.rt.Put(r.context(), path, strings.NewReader("x")), sandbox.Denied)
		}
		for _, path := range []string{"..", "etc", "/etc"} {
			r.wantCode("GetTree "+path, r.rt.GetTree(r.context(), path, io.Discard), sandbox.Denied)
			r.wantCode("PutTree "+path, r.rt.PutTree(r.context(), path, tarOf(r, entry{name: "runtimetest-escape", text: "x"})), sandbox.Denied)
		}
		if err := r.rt.Put(r.context(), "dangling", strings.NewReader("x")); err == nil {
			r.prints("ls /nowhere 2>/dev/null", "", 2) // it may replace the link, but not follow it
		}
		r.prints("ls /tmp/runtimetest-escape /etc/runtimetest-escape ../put 2>/dev/null", "", 2)
	}},
	{"odd paths", func(r *rig) {
		for _, path := range []string{"a\x00b", strings.Repeat("x/", 5000) + "x", strings.Repeat("n", 300)} {
			if err := r.rt.Put(r.context(), path, strings.NewReader("x")); err == nil {
				r.Errorf("%.20q was put", path)
			}
			if _, err := r.get(path); err == nil {
				r.Errorf("%.20q was got", path)
			}
		}
		for _, path := range []string{"odd/ü 世界?&=#%41+.txt", "odd/-rf", "odd/a\nb", "odd/.../x", "odd/../odd/./y"} {
			r.put(path, path)
			if got, err := r.get(path); err != nil || got != path {
				r.Errorf("%q: %q, %v", path, got, err)
			}
		}
	}},
	{"a context that is over", func(r *rig) {
		ctx, cancel := context.WithCancel(r.context())
		cancel()
		r.wantCode("Get", r.rt.Get(ctx, "a", io.Discard), sandbox.Canceled)
		r.wantCode("Put", r.rt.Put(ctx, "never", strings.NewReader("x")), sandbox.Canceled)
		_, err := r.rt.List(ctx, ".")
		r.wantCode("List", err, sandbox.Canceled)
		r.wantCode("Ping", r.rt.Ping(ctx), sandbox.Canceled)
	}},
}

func (r *rig) put(path, text string) {
	r.Helper()
	if err := r.rt.Put(r.context(), path, strings.NewReader(text)); err != nil {
		r.Fatalf("Put %q: %v", path, err)
	}
}

func (r *rig) get(path string) (string, error) {
	var b bytes.Buffer
	err := r.rt.Get(r.context(), path, &b)
	return b.String(), err
}

// A pattern is endless bytes that do not repeat within any buffer.
type pattern struct{ n uint32 }

func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(p.n*2654435761>>24) ^ byte(p.n)
		p.n++
	}
	return len(b), nil
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("the reader has gone") }
