package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/sandtree/sandtree/sandbox"
)

// Types of frames. A reader skips those it does not know.
const (
	FrameOutput    = 'o' // bytes of output; Offset is where the first stands in the whole output, a jump is a gap
	FrameHeartbeat = 'h' // sent when nothing else has been for HeartbeatSeconds; empty, or HeartbeatWaiting
	FrameDone      = 'd' // the observation as JSON, the last frame; Offset is the length of the whole output
	FrameError     = 'e' // an error in the form of AppendError, the last frame
	FrameInput     = 'i' // to a terminal: bytes typed
	FrameResize    = 'z' // to a terminal: see AppendResize
	FrameExit      = 'x' // from a terminal or a process: an Exit as JSON, the last frame; Offset is the length of the whole output
	FrameStderr    = 'r' // bytes of a process' stderr; Offset counts them by themselves
	FrameSpans     = 't' // what the server spent its time on, see AppendSpans; before the last frame, for who sent a HeaderTrace
)

const (
	// HeartbeatSeconds is the longest silence on a stream that lives, in seconds.
	HeartbeatSeconds = 5
	// HeartbeatWaiting is the payload of heartbeats of an action whose turn has not come: its time does not run yet.
	HeartbeatWaiting = "w"
	// FrameHeader is the length of what stands before a payload: type, length (uint32), offset (uint64), big-endian.
	FrameHeader = 13
	// MaxPayload is the longest payload of a frame in the middle of a stream, 1 MiB: long enough that headers cost
	// nothing, short enough that a heartbeat or the end is never held up.
	MaxPayload = 1 << 20
	// MaxAnswer is the longest payload of a last frame, 256 MiB. An observation comes whole, and an edit's holds the
	// file twice; the reader takes memory only as the bytes arrive.
	MaxAnswer = 256 << 20
)

// Frame is one unit of a stream.
type Frame struct {
	Type    byte
	Offset  uint64
	Payload []byte
}

// AppendFrame appends f. Output or input longer than MaxPayload becomes several frames with their offsets.
func AppendFrame(dst []byte, f Frame) []byte {
	for (f.Type == FrameOutput || f.Type == FrameInput) && len(f.Payload) > MaxPayload {
		dst = append(AppendFrameHeader(dst, f.Type, f.Offset, MaxPayload), f.Payload[:MaxPayload]...)
		f.Offset, f.Payload = f.Offset+MaxPayload, f.Payload[MaxPayload:]
	}
	return append(AppendFrameHeader(dst, f.Type, f.Offset, len(f.Payload)), f.Payload...)
}

// AppendFrameHeader appends the header of a frame whose payload, n bytes, is written by itself. It panics if n cannot be
// written in the header, which no payload that fits MaxAnswer is near.
func AppendFrameHeader(dst []byte, typ byte, offset uint64, n int) []byte {
	if n < 0 || n > math.MaxUint32 {
		panic("wire: frame payload too long")
	}
	dst = append(dst, typ)
	dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	return binary.BigEndian.AppendUint64(dst, offset)
}

// AppendResize appends a frame that tells a terminal its new size in characters.
func AppendResize(dst []byte, cols, rows uint16) []byte {
	dst = AppendFrameHeader(dst, FrameResize, 0, 4)
	dst = binary.BigEndian.AppendUint16(dst, cols)
	return binary.BigEndian.AppendUint16(dst, rows)
}

// ParseResize reads the payload of a FrameResize.
func ParseResize(p []byte) (cols, rows uint16, err error) {
	if len(p) != 4 {
		return 0, 0, invalid("wire.ParseResize", fmt.Errorf("want 4 bytes, have %d", len(p)))
	}
	return binary.BigEndian.Uint16(p), binary.BigEndian.Uint16(p[2:]), nil
}

// FrameReader reads frames from a stream. Not safe for concurrent use.
type FrameReader struct {
	r    *bufio.Reader
	skip int    // bytes of r lent out with the last frame
	long []byte // holds payloads that do not fit r
}

const frameBuffer = 32 << 10 // bytes; a pipe's chunk of output is at most half of it

// NewFrameReader reads from r, which it buffers.
func NewFrameReader(r io.Reader) *FrameReader {
	return &FrameReader{r: bufio.NewReaderSize(r, frameBuffer)}
}

// Next is the next frame, whose payload is valid until Next is called again. At the end of the stream the error is
// io.EOF, inside a frame io.ErrUnexpectedEOF; a frame longer than its type may have is Invalid.
func (fr *FrameReader) Next() (Frame, error) {
	fr.r.Discard(fr.skip) // cannot fail: these bytes were peeked at
	fr.skip = 0
	h, err := fr.r.Peek(FrameHeader)
	if err != nil {
		if len(h) > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return Frame{}, err
	}
	f := Frame{Type: h[0], Offset: binary.BigEndian.Uint64(h[5:])}
	n := int64(binary.BigEndian.Uint32(h[1:]))
	limit := int64(MaxPayload)
	if f.Type == FrameDone || f.Type == FrameError {
		limit = MaxAnswer
	}
	if n > limit {
		return Frame{}, invalid("wire.FrameReader", fmt.Errorf("a frame of type %q says it has %d bytes, over %d", f.Type, n, limit))
	}
	f.Payload, err = fr.payload(int(n))
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return f, err
}

// payload gives the n bytes after the header that stands at the front of fr.r.
func (fr *FrameReader) payload(n int) ([]byte, error) {
	if FrameHeader+n <= frameBuffer {
		b, err := fr.r.Peek(FrameHeader + n)
		if err != nil {
			return nil, err
		}
		fr.skip = len(b)
		return b[FrameHeader:], nil
	}
	fr.r.Discard(FrameHeader)
	b := fr.long[:0]
	for len(b) < n {
		// Grow by what has come, not by what the header claims.
		step := min(n-len(b), max(frameBuffer, len(b)))
		if cap(b)-len(b) < step {
			b = append(make([]byte, 0, len(b)+step), b...)
		}
		m, err := io.ReadFull(fr.r, b[len(b):len(b)+step])
		b = b[:len(b)+m]
		if err != nil {
			return nil, err
		}
	}
	if fr.long = b; cap(b) > MaxPayload {
		fr.long = nil // an answer comes once: do not keep its memory
	}
	return b, nil
}

func invalid(op string, err error) error {
	return &sandbox.Error{Code: sandbox.Invalid, Op: op, Err: err}
}
