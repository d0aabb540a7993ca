package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// upload is the body of a request that is read while it is sent.
type upload struct {
	r      io.Reader
	seeker io.Seeker // nil if r cannot go back
	start  int64     // where r stood
	size   int64     // 0: not known, or nothing
	begun  bool      // r has been read from
	failed error     // r did
}

func newUpload(r io.Reader) *upload {
	u := &upload{r: r}
	if b, ok := r.(*bytes.Buffer); ok {
		u.size = int64(b.Len())
	}
	if s, ok := r.(io.Seeker); ok {
		start, err := s.Seek(0, io.SeekCurrent)
		if err != nil {
			return u // a pipe that is an *os.File
		}
		end, err := s.Seek(0, io.SeekEnd)
		if _, back := s.Seek(start, io.SeekStart); back != nil {
			u.failed = fmt.Errorf("go back to the beginning: %w", back)
			return u
		}
		u.seeker, u.start = s, start
		if err == nil && end > start { // files of /proc have content and no size
			u.size = end - start
		}
	}
	return u
}

// rewind readies u for another try; false if that cannot be.
func (u *upload) rewind() bool {
	if !u.begun {
		return u.failed == nil
	}
	if u.seeker == nil || u.failed != nil {
		return false
	}
	_, err := u.seeker.Seek(u.start, io.SeekStart)
	u.begun = false
	return err == nil
}

func (u *upload) appendHeaders(b []byte) []byte {
	if u.size == 0 {
		return append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, u.size, 10)
	return append(b, "\r\n"...)
}

const chunkRoom = 8 // bytes before a chunk for its size, and as many as its end may need

// writeTo writes the body. If the error is r's own, u.failed is set.
func (u *upload) writeTo(w io.Writer) error {
	if u.failed != nil {
		return u.failed
	}
	u.begun = true
	buf := transferBuffers.Get().(*[]byte)
	defer transferBuffers.Put(buf)
	r, left := u.r, u.size
	if u.size > 0 {
		r = io.LimitReader(u.r, u.size) // a file that grows meanwhile must not spoil the connection
	}
	for {
		room := (*buf)[chunkRoom : len(*buf)-chunkRoom]
		n, err := r.Read(room)
		left -= int64(n)
		if n > 0 {
			b := room[:n]
			if u.size == 0 {
				b = chunk(*buf, n)
			}
			if _, werr := w.Write(b); werr != nil {
				return werr
			}
		}
		if err == io.EOF {
			return u.end(w, left)
		}
		if err != nil {
			u.failed = fmt.Errorf("read what is to be put: %w", err)
			return u.failed
		}
	}
}

func (u *upload) end(w io.Writer, left int64) error {
	if u.size == 0 {
		_, err := io.WriteString(w, "0\r\n\r\n")
		return err
	}
	if left > 0 {
		u.failed = errors.New("read what is to be put: it has become shorter")
	}
	return u.failed
}

// chunk frames the n bytes that stand in buf after chunkRoom, in place.
func chunk(buf []byte, n int) []byte {
	var size [chunkRoom]byte
	s := append(strconv.AppendInt(size[:0], int64(n), 16), "\r\n"...)
	start := chunkRoom - len(s)
	copy(buf[start:], s)
	end := copy(buf[chunkRoom+n:], "\r\n")
	return buf[start : chunkRoom+n+end]
}
