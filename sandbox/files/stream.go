package files

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/sandtree/sandtree/sandbox"
)

// chunk is how much is read before it is written, whatever the size of a file: 4 times fewer calls than with io.Copy's
// 32 KiB, and no measurable gain above.
const chunk = 128 << 10

var chunks = sync.Pool{New: func() any { return new([chunk]byte) }}

// stream copies r to w through one pooled buffer.
func stream(w io.Writer, r io.Reader) (int64, error) {
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	return io.CopyBuffer(justWriter{w}, justReader{r}, buf[:])
}

// Stream copies r to w in pieces of 128 KiB, each one call of either, from a buffer that is used again.
func Stream(w io.Writer, r io.Reader) (int64, error) { return stream(w, r) }

// justWriter and justReader hide the short cuts that would have io.CopyBuffer ignore the buffer.
type (
	justWriter struct{ io.Writer }
	justReader struct{ io.Reader }
)

// A source remembers that reading failed, so that a body cut short is told from a full disk and a bad archive.
type source struct {
	r   io.Reader
	n   int64 // bytes read
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n += int64(n)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// blame is err, or, if the source failed, that: whoever sent it has gone or given up.
func (s *source) blame(err error) error {
	if s.err == nil {
		return err
	}
	if e, ok := errors.AsType[*sandbox.Error](s.err); ok {
		return e
	}
	return &sandbox.Error{Code: sandbox.Canceled, Op: "files.receive", Err: fmt.Errorf("after %d bytes: %w", s.n, s.err)}
}

// A sink remembers that writing failed, so that the receiver's error is not taken for one of the files that are sent.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if err != nil {
		s.err = err
	}
	return n, err
}
