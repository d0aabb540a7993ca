package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

func TestFramesArriveHoweverTheyAreCut(t *testing.T) {
	frames := []wire.Frame{
		{Type: wire.FrameOutput, Offset: 0, Payload: []byte("hello")},
		{Type: wire.FrameHeartbeat},
		{Type: wire.FrameOutput, Offset: 1 << 40, Payload: bytes.Repeat([]byte("x"), 100_000)}, // longer than the buffer
		{Type: wire.FrameOutput, Offset: 5, Payload: bytes.Repeat([]byte("y"), 32<<10-wire.FrameHeader)},
		{Type: 'q', Payload: []byte("of a type that is not known")},
		{Type: wire.FrameDone, Offset: 9, Payload: bytes.Repeat([]byte("z"), wire.MaxPayload+1)}, // longer than output may be
	}
	var stream []byte
	for _, f := range frames {
		stream = wire.AppendFrame(stream, f)
	}
	for name, r := range map[string]io.Reader{
		"whole":        bytes.NewReader(stream),
		"halves":       iotest.HalfReader(bytes.NewReader(stream)),
		"bytes":        io.MultiReader(iotest.OneByteReader(bytes.NewReader(stream[:1000])), bytes.NewReader(stream[1000:])),
		"EOF with end": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		t.Run(name, func(t *testing.T) {
			fr := wire.NewFrameReader(r)
			for i, want := range frames {
				got, err := fr.Next()
				if err != nil || got.Type != want.Type || got.Offset != want.Offset || !bytes.Equal(got.Payload, want.Payload) {
					t.Fatalf("frame %d: type %q, offset %d, %d bytes, %v", i, got.Type, got.Offset, len(got.Payload), err)
				}
			}
			for range 2 {
				if _, err := fr.Next(); !errors.Is(err, io.EOF) {
					t.Errorf("at the end: %v", err)
				}
			}
		})
	}
	for n := 1; n < len(stream); n += 1 + n/3 {
		fr := wire.NewFrameReader(bytes.NewReader(stream[:n]))
		var err error
		whole := 0
		for err == nil {
			var f wire.Frame
			if f, err = fr.Next(); err == nil {
				whole += wire.FrameHeader + len(f.Payload)
			}
		}
		if want := io.ErrUnexpectedEOF; whole != n && !errors.Is(err, want) {
			t.Errorf("cut at %d: %v, want %v", n, err, want)
		}
	}
	broken := errors.New("the wire is broken")
	if _, err := wire.NewFrameReader(iotest.ErrReader(broken)).Next(); !errors.Is(err, broken) {
		t.Errorf("the reader's own failure became %v", err)
	}
}

func TestLongOutputBecomesSeveralFrames(t *testing.T) {
	payload := make([]byte, 2*wire.MaxPayload+1)
	for i := range payload {
		payload[i] = byte(i >> 10)
	}
	fr := wire.NewFrameReader(bytes.NewReader(wire.AppendFrame(nil, wire.Frame{Type: wire.FrameOutput, Offset: 7, Payload: payload})))
	offset, n := uint64(7), 0
	for {
		f, err := fr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || f.Offset != offset || !bytes.HasPrefix(payload, f.Payload) {
			t.Fatalf("frame %d at %d, want %d, %v", n, f.Offset, offset, err)
		}
		offset, payload, n = offset+uint64(len(f.Payload)), payload[len(f.Payload):], n+1
	}
	if n != 3 || len(payload) > 0 {
		t.Errorf("%d frames, %d bytes missing", n, len(payload))
	}
}

func TestAFrameThatClaimsTooMuch(t *testing.T) {
	for typ, n := range map[byte]uint32{wire.FrameOutput: wire.MaxPayload + 1, wire.FrameDone: wire.MaxAnswer + 1, 'q': 1 << 31} {
		b := append([]byte{typ}, binary.BigEndian.AppendUint32(nil, n)...)
		_, err := wire.NewFrameReader(bytes.NewReader(append(b, make([]byte, 100)...))).Next()
		wantCode(t, err, sandbox.Invalid)
	}
	// A long but allowed claim with little behind it must not cost the memory that it claims.
	b := append([]byte{wire.FrameDone}, binary.BigEndian.AppendUint32(nil, wire.MaxAnswer)...)
	b = append(b, make([]byte, 100)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := wire.NewFrameReader(bytes.NewReader(b)).Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	if allocated > 1<<20 {
		t.Errorf("%d bytes were taken", allocated)
	}
}

func TestResize(t *testing.T) {
	f, err := wire.NewFrameReader(bytes.NewReader(wire.AppendResize(nil, 300, 40))).Next()
	if err != nil || f.Type != wire.FrameResize {
		t.Fatal(f, err)
	}
	cols, rows, err := wire.ParseResize(f.Payload)
	if cols != 300 || rows != 40 || err != nil {
		t.Errorf("%d × %d, %v", cols, rows, err)
	}
	_, _, err = wire.ParseResize(f.Payload[:3])
	wantCode(t, err, sandbox.Invalid)
}

func TestErrorsKeepCodeAndText(t *testing.T) {
	plain := errors.New("why\nnot <\xff>")
	inner := &sandbox.Error{Code: sandbox.Exhausted, Op: "pool.Claim", ID: "x1"}
	for _, err := range []error{
		&sandbox.Error{Code: sandbox.Conflict, Op: "ledger.Begin", ID: "x1", Err: errors.New("known with another body")},
		&sandbox.Error{Code: sandbox.Denied, Op: "files.Get", Err: plain},
		inner,
		&sandbox.Error{Code: sandbox.Unavailable, Op: "outer", Err: inner},
	} {
		b := wire.AppendError(nil, err)
		got := wire.ParseError(b, 500)
		if sandbox.CodeOf(got) != sandbox.CodeOf(err) || got.Error() != strings.ToValidUTF8(err.Error(), "\uFFFD") {
			t.Errorf("%v became %v by %s", err, got, b)
		}
	}
	wrapped := fmt.Errorf("claim one: %w", inner)
	if got := wire.ParseError(wire.AppendError(nil, wrapped), 500); sandbox.CodeOf(got) != sandbox.Exhausted || !strings.Contains(got.Error(), wrapped.Error()) {
		t.Errorf("%v became %v", wrapped, got)
	}
	if got := wire.ParseError(wire.AppendError(nil, plain), 500); sandbox.CodeOf(got) != sandbox.Internal {
		t.Errorf("%v became %v", plain, got)
	}
	var body struct {
		Error struct{ Timestamp time.Time }
	}
	decodeInto(t, wire.AppendError(nil, plain), &body)
	if d := time.Since(body.Error.Timestamp); d < -time.Second || d > time.Minute || body.Error.Timestamp.Location() != time.UTC {
		t.Errorf("the timestamp is %v", body.Error.Timestamp)
	}
}

func TestEveryCodeHasAStatusAndComesBack(t *testing.T) {
	for _, c := range sandbox.Codes {
		if got := sandbox.CodeOf(wire.ParseError(nil, wire.HTTPStatus(c))); got != c {
			t.Errorf("%s is status %d, which is %s", c, wire.HTTPStatus(c), got)
		}
	}
	for status, want := range map[int]sandbox.Code{401: sandbox.Denied, 410: sandbox.NotFound, 413: sandbox.Invalid, 422: sandbox.Invalid, 504: sandbox.Lost, 500: sandbox.Internal, 599: sandbox.Internal, 0: sandbox.Internal} {
		if got := sandbox.CodeOf(wire.ParseError([]byte("<html>"), status)); got != want {
			t.Errorf("status %d is %s, want %s", status, got, want)
		}
	}
	if err := wire.ParseError([]byte(`{"detail":"Invalid API Key"}`), 403); err.Error() != "server: Invalid API Key (denied)" {
		t.Error(err)
	}
	if err := wire.ParseError([]byte(`{"error":{"code":"from_the_future","message":"m"}}`), 409); sandbox.CodeOf(err) != sandbox.Conflict {
		t.Error(err)
	}
	if err := wire.ParseError(bytes.Repeat([]byte("é"), 10_000), 500); len(err.Error()) > 1000 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}
