package server_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/floor"
	"github.com/valyala/fasthttp"
)

// bareFiles serves the files of a directory with the least that can be done: GET gives one, PUT replaces one by a rename as we
// do, POST writes over it. It gives the socket's path.
func bareFiles(b *testing.B) string {
	dir, err := os.MkdirTemp("", "bare-") // b.TempDir is too long for a socket
	if err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		b.Fatal(err)
	}
	bare := &fasthttp.Server{MaxRequestBodySize: 64 << 20, Handler: func(ctx *fasthttp.RequestCtx) {
		if err := bareFile(ctx, filepath.Join(dir, "f")); err != nil {
			ctx.Error(err.Error(), fasthttp.StatusInternalServerError)
		}
	}}
	served := make(chan error, 1)
	go func() { served <- bare.Serve(ln) }()
	b.Cleanup(func() {
		ln.Close()
		<-served
		os.RemoveAll(dir)
	})
	return filepath.Join(dir, "sock")
}

func bareFile(ctx *fasthttp.RequestCtx, name string) error {
	switch {
	case ctx.IsPut():
		if err := os.WriteFile(name+".tmp", ctx.PostBody(), 0o644); err != nil {
			return err
		}
		return os.Rename(name+".tmp", name)
	case ctx.IsPost():
		return os.WriteFile(name, ctx.PostBody(), 0o644)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	ctx.SetBodyStream(f, int(fi.Size()))
	return nil
}

// A mover moves files over a connection at the least cost.
type mover struct {
	b    *testing.B
	conn net.Conn
	in   *bufio.Reader
	head []byte
}

func newMover(b *testing.B, socket string) *mover {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return &mover{b: b, conn: conn, in: bufio.NewReaderSize(conn, 128<<10)}
}

// move sends a request and gives how long the answer's body is.
func (m *mover) move(method string, body []byte) int {
	m.head = fmt.Appendf(m.head[:0], "%s %s?path=f HTTP/1.1\r\nHost: x\r\nX-Session-API-Key: %s\r\nContent-Length: %d\r\n\r\n", method, wire.PathFiles, key, len(body))
	buffers := net.Buffers{m.head, body}
	if _, err := buffers.WriteTo(m.conn); err != nil {
		m.b.Fatal(err)
	}
	length := 0
	for first := true; ; first = false {
		line, err := m.in.ReadSlice('\n')
		if err != nil || first && !bytes.Contains(line, []byte(" 20")) {
			m.b.Fatalf("%q, %v", line, err)
		}
		if rest, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(rest)))
		}
		if len(line) == 2 {
			break
		}
	}
	if _, err := io.CopyN(io.Discard, m.in, int64(length)); err != nil {
		m.b.Fatal(err)
	}
	return length
}

// BenchmarkFilesToFloor asserts what a file costs beside the bare server in the same run.
func BenchmarkFilesToFloor(b *testing.B) {
	for _, c := range []struct {
		name   string
		method string
		size   int
	}{{"write 10 KB", "PUT", 10 << 10}, {"write 10 MB", "PUT", 10 << 20}, {"read 10 MB", "GET", 10 << 20}} {
		b.Run(c.name, func(b *testing.B) {
			ours, bare := newMover(b, start(b, nil).socket), newMover(b, bareFiles(b))
			body := bytes.Repeat([]byte("x"), c.size)
			ours.move("PUT", body)
			bare.move("PUT", body)
			work := func(m *mover, method string) func() {
				return func() {
					if method != "GET" {
						m.move(method, body)
					} else if n := m.move(method, nil); n != c.size {
						b.Fatal(n)
					}
				}
			}
			works := []func(){work(ours, c.method), work(bare, c.method)}
			if c.method == "PUT" {
				works = append(works, work(bare, "POST"))
			}
			times := interleaved(b, works...)
			b.ReportMetric(float64(times[0].Microseconds()), "us/ours")
			b.ReportMetric(float64(times[1].Microseconds()), "us/bare")
			if c.method == "PUT" {
				b.ReportMetric(float64(times[2].Microseconds()), "us/in-place")
			}
			floor.Bound(b, float64(times[0])/float64(times[1]), "x-bare", 1.3)
		})
	}
}
