package transport_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/valyala/fasthttp"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/pipenet"
	"github.com/sandtree/sandtree/transport"
)

func TestFilesThereAndBack(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		leak.Check(t)
		f := &fake{}
		c, n := f.start(t, transport.Config{})
		onDisk := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(onDisk, []byte("0123456789"), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(onDisk)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		file.Seek(3, io.SeekStart)
		big := strings.Repeat("abc", 1<<20)
		for name, put := range map[string]struct {
			r    io.Reader
			want string
		}{
			"known length":   {strings.NewReader(big), big},
			"a buffer":       {bytes.NewBufferString("buffer"), "buffer"},
			"unknown length": {io.MultiReader(strings.NewReader(big), strings.NewReader("end")), big + "end"},
			"byte by byte":   {iotest.OneByteReader(strings.NewReader("slow")), "slow"},
			"from the third": {file, "3456789"},
			"nothing":        {strings.NewReader(""), ""},
			"end with data":  {iotest.DataErrReader(strings.NewReader("last")), "last"},
		} {
			if err := c.Put(t.Context(), "a b/ü?&=%/"+name, put.r); err != nil {
				t.Errorf("put %s: %v", name, err)
			}
			var got strings.Builder
			if err := c.Get(t.Context(), "a b/ü?&=%/"+name, &got); err != nil || got.String() != put.want {
				t.Errorf("get %s: %.20q, %v; want %.20q", name, got.String(), err, put.want)
			}
		}
		if err := c.PutTree(t.Context(), "tree", strings.NewReader("tar")); err != nil {
			t.Error(err)
		}
		if err := c.GetTree(t.Context(), "tree", io.Discard); err != nil {
			t.Error(err)
		}
		if names, err := c.List(t.Context(), ""); err != nil || !slices.Equal(names, []string{"dir/", "file"}) {
			t.Error(names, err)
		}
		wantCode(t, c.Get(t.Context(), "none", io.Discard), sandbox.NotFound)
		wantCode(t, c.Put(t.Context(), strings.Repeat("x/", 5000), strings.NewReader("")), sandbox.Invalid)
		if n.Conns() != 1 {
			t.Errorf("%d connections", n.Conns())
		}
	})
}

func TestPutIsRepeatedOnlyIfItCanBe(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		f := &fake{}
		c, _ := f.start(t, transport.Config{})
		var busy atomic.Int32
		f.refuse = func(*fasthttp.Request) error {
			if busy.Add(-1) >= 0 {
				return &sandbox.Error{Code: sandbox.Unavailable, Err: errors.New("not now")}
			}
			return nil
		}
		busy.Store(3)
		if err := c.Put(t.Context(), "f", strings.NewReader("again")); err != nil || string(f.files["f"]) != "again" {
			t.Errorf("a seeker: %q, %v", f.files["f"], err)
		}
		busy.Store(1)
		wantCode(t, c.Put(t.Context(), "g", io.MultiReader(strings.NewReader("once"))), sandbox.Unavailable)
		if f.files["g"] != nil {
			t.Errorf("a part was put: %q", f.files["g"])
		}
	})
}

func TestFailuresOfTheCallersOwn(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		leak.Check(t)
		f := &fake{}
		c, _ := f.start(t, transport.Config{})
		broken := errors.New("disk on fire")
		for range 6 { // more than would trip the breaker
			err := c.Put(t.Context(), "f", io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)))
			wantCode(t, err, sandbox.Internal)
			if !errors.Is(err, broken) {
				t.Error(err)
			}
		}
		if f.files["f"] != nil {
			t.Errorf("half a file was put: %q", f.files["f"])
		}
		if err := c.Put(t.Context(), "f", strings.NewReader("whole")); err != nil {
			t.Error(err)
		}
		w, r := io.Pipe()
		w.CloseWithError(broken)
		err := c.Get(t.Context(), "f", r)
		wantCode(t, err, sandbox.Internal)
		if !errors.Is(err, broken) {
			t.Error(err)
		}
	})
}

// A refusal in the middle of an upload is told, not the broken pipe that follows from it.
func TestTheServersReasonIsSeen(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		n := raw(t, "HTTP/1.1 403 X\r\nContent-Length: 3\r\n\r\nno!")
		c := client(t, n.Dial, transport.Config{})
		err := c.Put(t.Context(), "/etc/shadow", strings.NewReader(strings.Repeat("x", 1<<20)))
		wantCode(t, err, sandbox.Denied)
		if err == nil || !strings.Contains(err.Error(), "no!") {
			t.Error(err)
		}
	})
}

// zeros is a file of so many bytes that takes no memory.
type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	n := min(int64(len(p)), z.left)
	if z.left -= n; n == 0 {
		return 0, io.EOF
	}
	return int(n), nil
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

func TestFilesPassInConstantMemory(t *testing.T) {
	const size = 1 << 28
	leak.Check(t)
	var put counter
	n := pipenet.Serve(t, &fasthttp.Server{
		StreamRequestBody: true, MaxRequestBodySize: 1 << 40, NoDefaultServerHeader: true,
		Handler: func(ctx *fasthttp.RequestCtx) {
			if ctx.IsPut() {
				io.Copy(&put, ctx.RequestBodyStream())
				return
			}
			ctx.SetBodyStream(&zeros{size}, size)
		},
	})
	c := client(t, n.Dial, transport.Config{})
	before := allocated()
	if err := c.Put(t.Context(), "big", &zeros{size}); err != nil || put.n != size {
		t.Errorf("put %d bytes: %v", put.n, err)
	}
	var got counter
	if err := c.Get(t.Context(), "big", &got); err != nil || got.n != size {
		t.Errorf("got %d bytes: %v", got.n, err)
	}
	// All that was ever allocated, so no peak can hide: most of it are the pipe's deadlines and the server's own.
	if used := allocated() - before; used > 32<<20 {
		t.Errorf("%d bytes were allocated on the way", used)
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
