package files

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
)

func BenchmarkRead10MB(b *testing.B) {
	s, dir := open(b)
	plant(b, dir, "f", strings.Repeat("a line of forty bytes, more or less ....\n", 250_000))
	b.SetBytes(41 * 250_000)
	for b.Loop() {
		if o, err := s.Read(dir, sandbox.ReadArgs{Path: "f", End: -1}); err != nil || len(o.Content) != 41*250_000 {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite10KB(b *testing.B) {
	s, dir := open(b)
	text := strings.Repeat("a line of forty bytes, more or less ....\n", 250)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := s.Write(dir, sandbox.WriteArgs{Path: "f", Content: text, End: -1}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReplaceIn10KB(b *testing.B) {
	s, dir := open(b)
	p := plant(b, dir, "f", strings.Repeat("a line of forty bytes, more or less ....\n", 250)+"here: x\n")
	old, repl := "here: x", "here: y"
	for b.Loop() {
		if o, err := s.Edit(replace(p, old, repl)); err != nil || strings.HasPrefix(o.Content, "ERROR") {
			b.Fatal(o.Content, err)
		}
		old, repl = repl, old
	}
}

func BenchmarkPut64MB(b *testing.B) {
	s, _ := open(b)
	const size = 64 << 20
	chunk := make([]byte, 1<<20)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Put("f", io.LimitReader(repeat{chunk}, size), PutOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet64MB(b *testing.B) {
	s, _ := open(b)
	const size = 64 << 20
	if _, err := s.Put("f", io.LimitReader(zeros{}, size), PutOptions{}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		f, _, err := s.Get("f")
		if err != nil {
			b.Fatal(err)
		}
		stream(io.Discard, f)
		f.Close()
	}
}

type repeat struct{ b []byte }

func (r repeat) Read(p []byte) (int, error) { return copy(p, r.b), nil }

// BenchmarkTree moves 2,000 small files, six directories deep, out and in again.
func BenchmarkTree(b *testing.B) {
	s, dir := open(b)
	for i := range 2000 {
		plant(b, dir, fmt.Sprintf("src/a/b/c/d%d/e/f%d", i/100, i), strings.Repeat("x", 2000))
	}
	var archive bytes.Buffer
	if err := s.GetTree("src", &archive); err != nil {
		b.Fatal(err)
	}
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			if err := s.GetTree("src", io.Discard); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)*2000/b.Elapsed().Seconds(), "files/s")
	})
	b.Run("put", func(b *testing.B) {
		i := 0
		for b.Loop() {
			i++
			if err := s.PutTree(filepath.Join("dst", fmt.Sprint(i)), bytes.NewReader(archive.Bytes())); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)*2000/b.Elapsed().Seconds(), "files/s")
	})
}
