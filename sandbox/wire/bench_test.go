package wire_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

var (
	benchAction = sandbox.Action{Timeout: 120e9, Args: sandbox.RunArgs{Command: `cd /workspace && grep -rn "func main" --include='*.go' . | head -20`, Blocking: true}}
	root, dir   = "root", "/workspace"
	benchResult = sandbox.RunResult{Command: `grep -rn "func main" .`, Metadata: sandbox.RunMetadata{PID: -1, Username: &root, Hostname: &root, WorkingDir: &dir, PyPath: &dir, Suffix: "\n[The command completed with exit code 0.]"}}
)

func observation(content string) sandbox.Observation {
	return sandbox.Observation{Content: content, Result: benchResult}
}

func BenchmarkAppendAction(b *testing.B) {
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		dst = wire.AppendAction(dst[:0], benchAction)
	}
	b.SetBytes(int64(len(dst)))
}

func BenchmarkParseAction(b *testing.B) {
	in := wire.AppendAction(nil, benchAction)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.ParseAction(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkObservation(b *testing.B) {
	for name, content := range map[string]string{"short": "hi", "30kB": strings.Repeat("some line of output, quite usual\n", 900), "unicode": strings.Repeat("Grüße, 世界\n", 2000)} {
		o := observation(content)
		in := wire.AppendObservation(nil, o)
		b.Run("append/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			dst := make([]byte, 0, len(in))
			for b.Loop() {
				dst = wire.AppendObservation(dst[:0], o)
			}
		})
		b.Run("parse/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := wire.ParseObservation(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The native codec beside the OpenHands one, on the same action and observation.
func BenchmarkForms(b *testing.B) {
	o, made := observation("hi"), time.Unix(1767323045, 678e6)
	parse := func(b *testing.B, in []byte, f func([]byte) error) {
		b.SetBytes(int64(len(in)))
		b.ReportAllocs()
		for b.Loop() {
			if err := f(in); err != nil {
				b.Fatal(err)
			}
		}
	}
	write := func(b *testing.B, f func([]byte) []byte) {
		b.ReportAllocs()
		dst := f(nil)
		b.SetBytes(int64(len(dst)))
		for b.Loop() {
			dst = f(dst[:0])
		}
	}
	b.Run("action/append/native", func(b *testing.B) {
		write(b, func(dst []byte) []byte { return wire.AppendNativeAction(dst, benchAction) })
	})
	b.Run("action/append/openhands", func(b *testing.B) { write(b, func(dst []byte) []byte { return wire.AppendAction(dst, benchAction) }) })
	b.Run("action/parse/native", func(b *testing.B) {
		parse(b, wire.AppendNativeAction(nil, benchAction), func(in []byte) error { _, err := wire.ParseNativeAction(in); return err })
	})
	b.Run("action/parse/openhands", func(b *testing.B) {
		parse(b, wire.AppendAction(nil, benchAction), func(in []byte) error { _, err := wire.ParseAction(in); return err })
	})
	b.Run("observation/append/native", func(b *testing.B) {
		write(b, func(dst []byte) []byte { return wire.AppendNativeObservation(dst, o, made) })
	})
	b.Run("observation/append/openhands", func(b *testing.B) { write(b, func(dst []byte) []byte { return wire.AppendObservation(dst, o) }) })
	b.Run("observation/parse/native", func(b *testing.B) {
		parse(b, wire.AppendNativeObservation(nil, o, made), func(in []byte) error { _, err := wire.ParseNativeObservation(in); return err })
	})
	b.Run("observation/parse/openhands", func(b *testing.B) {
		parse(b, wire.AppendObservation(nil, o), func(in []byte) error { _, err := wire.ParseObservation(in); return err })
	})
}

func BenchmarkFrames(b *testing.B) {
	payload := make([]byte, 4096)
	stream := []byte{}
	for range 256 {
		stream = wire.AppendFrame(stream, wire.Frame{Type: wire.FrameOutput, Payload: payload})
	}
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	src := bytes.NewReader(stream)
	for b.Loop() {
		src.Reset(stream)
		for r := wire.NewFrameReader(src); ; {
			if _, err := r.Next(); err != nil {
				if err != io.EOF {
					b.Fatal(err)
				}
				break
			}
		}
	}
}
