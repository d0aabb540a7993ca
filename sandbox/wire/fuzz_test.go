package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// Each target checks that what was read is written as JSON on one line, and reads as the same again.

func wantJSON(t *testing.T, b []byte) {
	t.Helper()
	if !json.Valid(b) || !utf8.Valid(b) || bytes.ContainsAny(b, "\n\r") {
		t.Fatalf("written: %q", b)
	}
}

func FuzzParseAction(f *testing.F) {
	for _, b := range goldens(f, "actions") {
		f.Add(b)
	}
	f.Add([]byte(`{"action":"run","args":{"command":"ls"},"id.x":1,"args.security_risk":2,"extras.y":3,"args.confirmation_state":"confirmed"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := wire.ParseAction(b)
		if err != nil {
			wantCode(t, err, sandbox.Invalid)
			return
		}
		out := wire.AppendAction(nil, a)
		wantJSON(t, out)
		again, err := wire.ParseAction(out)
		if err != nil || !reflect.DeepEqual(a, again) || !bytes.Equal(out, wire.AppendAction(nil, again)) {
			t.Fatalf("%q\nreads as %+v\nand again as %+v, %v", b, a, again, err)
		}
	})
}

func FuzzParseEvent(f *testing.F) {
	for _, b := range append(goldens(f, "actions"), goldens(f, "observations")...) {
		f.Add(b)
	}
	f.Add([]byte(`{"observation":"run","id.x":1,"args.x":2,"extras.y":3,"extras":{"metadata":{"metadata.x":4},"metadata.exit_code":5,"a.b":6}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := wire.ParseEvent(b)
		if err != nil {
			wantCode(t, err, sandbox.Invalid)
			return
		}
		if !json.Valid(b) || !utf8.Valid(b) {
			t.Fatalf("%q was read", b)
		}
		out := e.Append(nil)
		wantJSON(t, out)
		again, err := wire.ParseEvent(out)
		if err != nil || !bytes.Equal(out, again.Append(nil)) {
			t.Fatalf("%q\nbecomes %q\nand then %q, %v", b, out, again.Append(nil), err)
		}
		o, err := e.Observation()
		if err != nil {
			return
		}
		out = wire.AppendObservation(nil, o)
		wantJSON(t, out)
		same, err := wire.ParseObservation(out)
		if err != nil || !reflect.DeepEqual(o, same) {
			t.Fatalf("%q\nreads as %+v\nand again as %+v, %v", b, o, same, err)
		}
	})
}

func FuzzReadTrajectory(f *testing.F) {
	f.Add([]byte("[{\"action\":\"think\"},\n{\"observation\":\"null\"}]"))
	f.Add([]byte("{\"action\":\"think\"}\n{\"observation\":\"null\"}\n"))
	f.Add([]byte(`{"history":[[{"action":"think"},{"observation":"null"}]]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		events, err := wire.ReadTrajectory(bytes.NewReader(b))
		if err != nil {
			wantCode(t, err, sandbox.Invalid)
			return
		}
		var out, again bytes.Buffer
		if err := wire.WriteTrajectory(&out, events); err != nil {
			t.Fatal(err)
		}
		events, err = wire.ReadTrajectory(bytes.NewReader(out.Bytes()))
		if err != nil {
			t.Fatalf("%q: %v", out.Bytes(), err)
		}
		if wire.WriteTrajectory(&again, events); !bytes.Equal(out.Bytes(), again.Bytes()) {
			t.Fatalf("%q\nbecomes %q", out.Bytes(), again.Bytes())
		}
	})
}

func FuzzFrameReader(f *testing.F) {
	stream := wire.AppendFrame(nil, wire.Frame{Type: wire.FrameOutput, Offset: 3, Payload: []byte("some output")})
	stream = wire.AppendFrame(stream, wire.Frame{Type: wire.FrameHeartbeat})
	stream = wire.AppendResize(stream, 80, 25)
	stream = wire.AppendFrame(stream, wire.Frame{Type: wire.FrameDone, Offset: 14, Payload: []byte("{}")})
	f.Add(stream)
	f.Add(stream[:20])
	f.Add([]byte("o\xff\xff\xff\xff12345678"))
	f.Add([]byte("d\x0f\xff\xff\xff12345678"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewFrameReader(bytes.NewReader(b))
		var out []byte
		for {
			frame, err := r.Next()
			if err == nil {
				out = wire.AppendFrame(out, frame)
				continue
			}
			switch {
			case errors.Is(err, io.EOF):
				if len(out) != len(b) {
					t.Fatalf("io.EOF after %d of %d bytes", len(out), len(b))
				}
			case errors.Is(err, io.ErrUnexpectedEOF):
			default:
				wantCode(t, err, sandbox.Invalid)
			}
			break
		}
		if !bytes.HasPrefix(b, out) {
			t.Fatalf("%q\nread as %q", b, out)
		}
	})
}

func FuzzParseError(f *testing.F) {
	f.Add([]byte(`{"error":{"code":"conflict","message":"m","details":{"op":"o","id":"i"},"timestamp":"2026-01-01T00:00:00Z"}}`), 409)
	f.Add([]byte(`{"detail":"Not Found"}`), 404)
	f.Add([]byte("<html>Bad Gateway</html>"), 502)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, b []byte, status int) {
		err := wire.ParseError(b, status)
		if sandbox.CodeOf(err) == "" || !utf8.ValidString(err.Error()) {
			t.Fatalf("%#v", err)
		}
		out := wire.AppendError(nil, err)
		wantJSON(t, out)
		if again := wire.ParseError(out, 500); !reflect.DeepEqual(text(err), text(again)) {
			t.Fatalf("%q\nbecomes %q", err, again)
		}
	})
}

func text(err error) [2]string { return [2]string{string(sandbox.CodeOf(err)), err.Error()} }

// What either form says, the other says too: an event read in one of them is the same after it went to the other and back.
func FuzzBothForms(f *testing.F) {
	for _, b := range append(goldens(f, "actions"), goldens(f, "observations")...) {
		f.Add(b)
		if e, err := wire.ParseEvent(b); err == nil {
			if native, err := e.AppendNative(nil); err == nil {
				f.Add(native)
			}
		}
	}
	f.Add([]byte(`{"type":"run","content":{"command":"a"},"timestamp":"2026-01-01T00:00:00.000000001Z","source":"runtime","id":"x","cause":-1,"session":"s","timeout":0.1,"meta":{"session":5,"args.x":1,"message":"m","type":"t"}}`))
	f.Add([]byte(`{"type":"observation.recall","content":{"text":"a","extras":{"a.b":1},"more":2},"session":"s","timeout":1,"more":3,"meta":{"success":null,"content":1}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		bothWays(t, b)
		if a, err := wire.ParseNativeAction(b); err == nil {
			sameAction(t, a)
			other, err := wire.ParseAction(wire.AppendAction(nil, a))
			if err != nil || !reflect.DeepEqual(a, other) {
				t.Fatalf("%q\nreads as %+v\nand in the OpenHands form as %+v, %v", b, a, other, err)
			}
		} else {
			wantCode(t, err, sandbox.Invalid)
		}
		if o, err := wire.ParseNativeObservation(b); err == nil {
			sameObservation(t, o)
			other, err := wire.ParseObservation(wire.AppendObservation(nil, o))
			if err != nil || !reflect.DeepEqual(o, other) {
				t.Fatalf("%q\nreads as %+v\nand in the OpenHands form as %+v, %v", b, o, other, err)
			}
		} else {
			wantCode(t, err, sandbox.Invalid)
		}
		if e, err := wire.ParseNativeEvent(b); err == nil {
			wantJSON(t, e.Append(nil))
		}
	})
}
