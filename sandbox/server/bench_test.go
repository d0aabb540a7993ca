package server_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/sandbox/shell"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// A plain client: nothing between the benchmark and the socket.
type plain struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte
}

func (b *box) plain() *plain {
	conn, err := net.Dial("unix", b.socket)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	return &plain{conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
}

// ask sends one request and reads an answer of known length.
func (p *plain) ask(t testing.TB, path string, body []byte) int {
	p.out = fmt.Appendf(p.out[:0], "POST %s HTTP/1.1\r\nHost: x\r\nX-Session-API-Key: %s\r\nContent-Length: %d\r\n\r\n%s", path, key, len(body), body)
	if _, err := p.conn.Write(p.out); err != nil {
		t.Fatal(err)
	}
	length := -1
	for first := true; ; first = false {
		line, err := p.in.ReadSlice('\n')
		if err != nil {
			t.Fatal(err)
		}
		if first && !bytes.Contains(line, []byte(" 200 ")) {
			t.Fatalf("%s", line)
		}
		if rest, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(rest)))
		}
		if len(line) == 2 {
			break
		}
	}
	if length < 0 {
		t.Fatal("the answer is a stream")
	}
	if _, err := p.in.Discard(length); err != nil {
		t.Fatal(err)
	}
	return length
}

// BenchmarkTrue is the whole server for the shortest command, beside the shell by itself.
func BenchmarkTrue(b *testing.B) {
	body := []byte(event(run("true")))
	b.Run("shell", func(b *testing.B) {
		s, err := shell.Start(shell.Config{Dir: b.TempDir(), Env: []string{"PATH=/usr/bin:/bin"}})
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		for b.Loop() {
			if _, err := s.Run(b.Context(), sandbox.RunArgs{Command: "true"}, 0, func(int64, []byte) {}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("native", func(b *testing.B) {
		dir := b.TempDir()
		box := start(b, func(c *server.Config) { c.StateDir = dir })
		p, id := box.plain(), 0
		b.ReportAllocs()
		for b.Loop() {
			id++
			p.ask(b, wire.PathActions+"a"+strconv.Itoa(id), body)
		}
	})
	b.Run("OpenHands", func(b *testing.B) {
		p := start(b, nil).plain()
		body := []byte(`{"action":` + string(body) + `}`)
		b.ReportAllocs()
		for b.Loop() {
			p.ask(b, "/execute_action", body)
		}
	})
}

// BenchmarkOutput is a command with much output, streamed.
func BenchmarkOutput(b *testing.B) {
	box := start(b, nil)
	const size = 16 << 20
	body := event(run(fmt.Sprintf("head -c %d /dev/zero | tr '\\0' '\\n'", size/2))) // the terminal makes two of each
	b.SetBytes(size)
	for b.Loop() {
		r, err := box.client.Do(box.request("POST", wire.PathActions+sandbox.NewActionID(), body))
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil || n < size/2 {
			b.Fatal(n, err)
		}
		r.Body.Close()
	}
}

// BenchmarkFile is a large file up and down.
func BenchmarkFile(b *testing.B) {
	box := start(b, nil)
	const size = 64 << 20
	content := strings.Repeat("x", size)
	for _, method := range []string{"PUT", "GET"} {
		b.Run(method, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				body := ""
				if method == "PUT" {
					body = content
				}
				r, err := box.client.Do(box.request(method, wire.PathFiles+"?path=f", body))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					b.Fatal(err)
				}
				r.Body.Close()
			}
		})
	}
}

// BenchmarkStatic is a command in a session of its own.
func BenchmarkStatic(b *testing.B) {
	p := start(b, nil).plain()
	body := []byte(`{"action":{"action":"run","args":{"command":"true","is_static":true}}}`)
	for b.Loop() {
		p.ask(b, "/execute_action", body)
	}
}
