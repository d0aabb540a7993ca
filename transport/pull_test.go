package transport_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/pipenet"
	"github.com/sandtree/sandtree/transport"
)

// big makes a file of 8 MiB that repeats nothing.
func big(t *testing.T, name string, seed byte) []byte {
	t.Helper()
	b := make([]byte, 8<<20)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	must(t, os.WriteFile(name, b, 0o644))
	return b
}

// A download that is cut goes on where it was cut.
func TestGetIsResumed(t *testing.T) {
	leak.Check(t)
	dir, dial := real(t)
	want := big(t, filepath.Join(dir, "f"), 1)
	c := ready(t, transport.Dialer(pipenet.Cutting(dial, 7, 512<<10)), transport.Config{Key: "key"})
	var got bytes.Buffer
	if err := c.Get(t.Context(), "f", &got); err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d bytes of %d, %v", got.Len(), len(want), err)
	}
	got.Reset()
	if err := c.GetRange(t.Context(), "f", 12345, 5<<20, &got); err != nil || !bytes.Equal(got.Bytes(), want[12345:12345+5<<20]) {
		t.Errorf("a part: %d bytes, %v", got.Len(), err)
	}
	got.Reset()
	if err := c.GetRange(t.Context(), "f", 1<<20, -1, &got); err != nil || !bytes.Equal(got.Bytes(), want[1<<20:]) {
		t.Errorf("the rest: %d bytes, %v", got.Len(), err)
	}
	if n := c.Stats().Resumes; n < 5 {
		t.Errorf("only %d resumes: the cuts are too few to show anything", n)
	}
}

// A writerFunc is a function that takes what is got.
type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// What has changed since the cut is not mixed with what has come before it.
func TestGetIsNotResumedInAnotherVersion(t *testing.T) {
	leak.Check(t)
	dir, dial := real(t)
	name := filepath.Join(dir, "f")
	want := big(t, name, 1)
	c := ready(t, transport.Dialer(pipenet.Cutting(dial, 8, 512<<10)), transport.Config{Key: "key"})
	var got bytes.Buffer
	err := c.Get(t.Context(), "f", writerFunc(func(p []byte) (int, error) {
		if got.Len() == 0 {
			big(t, name+".new", 2)
			must(t, os.Rename(name+".new", name))
		}
		return got.Write(p)
	}))
	wantCode(t, err, sandbox.Lost)
	if !bytes.HasPrefix(want, got.Bytes()) || got.Len() == len(want) {
		t.Errorf("%d bytes were written, which are not the beginning of the old file", got.Len())
	}
	must(t, os.Remove(name))
	wantCode(t, c.Get(t.Context(), "f", io.Discard), sandbox.NotFound)
	broken := errors.New("disk full")
	big(t, name, 3)
	if err := c.Get(t.Context(), "f", writerFunc(func(p []byte) (int, error) { return 0, broken })); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// An answer that goes on somewhere else, or says nothing of where, is not believed.
func TestAnotherRangeThanWasAskedFor(t *testing.T) {
	const begin = "HTTP/1.1 200 X\r\nETag: \"a\"\r\nContent-Length: 10\r\n\r\n01234"
	for name, next := range map[string]string{
		"elsewhere": "HTTP/1.1 206 X\r\nContent-Range: bytes 4-9/10\r\nContent-Length: 6\r\n\r\n456789",
		"nowhere":   "HTTP/1.1 206 X\r\nContent-Length: 5\r\n\r\n56789",
		"no number": "HTTP/1.1 206 X\r\nContent-Range: bytes x-9/10\r\nContent-Length: 5\r\n\r\n56789",
		"all again": "HTTP/1.1 200 X\r\nETag: \"b\"\r\nContent-Length: 10\r\n\r\n0123456789",
		"gone":      "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			pipenet.Test(t, func(t *testing.T) {
				c := client(t, raw(t, begin, next).Dial, transport.Config{})
				var got bytes.Buffer
				err := c.Get(t.Context(), "f", &got)
				if err == nil || got.String() != "01234" {
					t.Errorf("%q, %v", got.String(), err)
				}
			})
		})
	}
}
