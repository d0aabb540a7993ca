package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/floor"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// A caller is a client that costs as little as can be, so that what is measured is servers: it writes requests to a
// connection and reads answers, of known length or in chunks.
type caller struct {
	tb   testing.TB
	conn net.Conn
	in   *bufio.Reader
	out  []byte
	body []byte
	id   int
	name string
}

var callers atomic.Int64

func call(tb testing.TB, dial floor.DialFunc) *caller {
	conn, err := dial(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return &caller{tb: tb, conn: conn, in: bufio.NewReaderSize(conn, 64<<10), name: "c" + strconv.Itoa(int(callers.Add(1))) + "-"}
}

// ask sends a request and gives the body of the answer, which is valid until the next.
func (c *caller) ask(method, path, body string) []byte {
	c.out = append(append(append(append(c.out[:0], method...), ' '), path...), " HTTP/1.1\r\nHost: x\r\nX-Session-API-Key: the key\r\nContent-Length: "...)
	c.out = append(append(strconv.AppendInt(c.out, int64(len(body)), 10), "\r\n\r\n"...), body...)
	if _, err := c.conn.Write(c.out); err != nil {
		c.tb.Error(err)
		return nil
	}
	length, ok := -1, false
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			c.tb.Error(err)
			return nil
		}
		ok = ok || first && (bytes.Contains(line, []byte(" 200 ")) || bytes.Contains(line, []byte(" 201 ")))
		if rest, found := bytes.CutPrefix(line, []byte("Content-Length: ")); found {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(rest)))
		}
		if len(line) == 2 {
			break
		}
	}
	c.body = c.body[:0]
	for n := length; ; {
		if length < 0 {
			line, err := c.in.ReadSlice('\n')
			if err != nil {
				c.tb.Error(err)
				return nil
			}
			size, _ := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 64)
			n = int(size)
		}
		begin := len(c.body)
		c.body = slices.Grow(c.body, n)[:begin+n]
		if _, err := io.ReadFull(c.in, c.body[begin:]); err != nil {
			c.tb.Error(err)
			return nil
		}
		if length >= 0 {
			break
		}
		_, _ = c.in.Discard(2)
		if n == 0 {
			break
		}
	}
	if !ok {
		c.tb.Errorf("%s %s: %s", method, path, c.body)
	}
	return c.body
}

// action performs a command in a session, in the native form, and gives the output.
func (c *caller) action(event string) []byte {
	c.id++
	return outputOf(c.ask("POST", wire.PathActions+c.name+strconv.Itoa(c.id), event))
}

// exec runs a program outside of any session and gives its output.
func (c *caller) exec(command string) []byte { return outputOf(c.ask("POST", wire.PathExec, command)) }

// outputOf puts the output of frames together, in their place.
func outputOf(frames []byte) []byte {
	out := frames[:0]
	for len(frames) >= wire.FrameHeader {
		n := int(binary.BigEndian.Uint32(frames[1:]))
		if frames[0] == wire.FrameOutput {
			out = append(out, frames[wire.FrameHeader:wire.FrameHeader+n]...)
		}
		frames = frames[wire.FrameHeader+n:]
	}
	return out
}

func inSession(session, command string) string {
	return string(wire.AppendNativeAction(nil, sandbox.Action{Session: session, Args: sandbox.RunArgs{Command: command, Blocking: true}}))
}

// interleaved runs each of the works in turn, b.N times, and gives the medians of their times.
func interleaved(b *testing.B, works ...func()) []time.Duration {
	times := make([][]time.Duration, len(works))
	for _, w := range works { // warm
		w()
		w()
	}
	b.ResetTimer()
	for range b.N {
		for i, w := range works {
			begun := time.Now()
			w()
			times[i] = append(times[i], time.Since(begun))
		}
	}
	b.StopTimer()
	b.ReportMetric(0, "ns/op")
	medians := make([]time.Duration, len(works))
	for i, t := range times {
		slices.Sort(t)
		medians[i] = t[len(t)/2]
	}
	return medians
}

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func startFloor(b *testing.B, kind string) floor.DialFunc {
	dial, _ := floor.StartServer(b, kind)
	return dial
}

// want has a benchmark fail when it measures something else than it says.
func want(b *testing.B, got []byte, what string) {
	if !strings.Contains(string(got), what) {
		b.Fatalf("%.200q, want %q", got, what)
	}
}

// BenchmarkFloorPTY is an echo in a shell on a terminal, in the native form, beside the same in the floor's.
func BenchmarkFloorPTY(b *testing.B) {
	need.Tool(b, "bash")
	box := sandboxdtest.Start(b)
	ours, ordinary, stripped := call(b, box.Dial), call(b, startFloor(b, floor.Ordinary)), call(b, startFloor(b, floor.Stripped))
	event := inSession("", "echo hello")
	old := `{"action":{"action":"run","args":{"command":"echo hello","blocking":true}}}`
	m := interleaved(b,
		func() { want(b, ours.action(event), "hello\r\n") },
		func() { want(b, ordinary.ask("POST", "/", "echo hello"), "hello") },
		func() { want(b, stripped.ask("POST", "/", "echo hello"), "hello") },
		func() { want(b, ours.ask("POST", "/execute_action", old), `"content":"hello"`) },
	)
	b.ReportMetric(us(m[0]), "µs/native")
	b.ReportMetric(us(m[1]), "µs/floor")
	b.ReportMetric(us(m[2]), "µs/stripped")
	b.ReportMetric(us(m[3]), "µs/OpenHands")
	b.ReportMetric(float64(m[0])/float64(m[2]), "×stripped")
	floor.Bound(b, float64(m[0])/float64(m[1]), "×floor", 1.3)
}

// BenchmarkFloorPipe is an echo in a shell on pipes.
func BenchmarkFloorPipe(b *testing.B) {
	need.Tool(b, "bash")
	box := sandboxdtest.Start(b)
	ours, theirs := call(b, box.Dial), call(b, startFloor(b, floor.Piped))
	want(b, ours.ask("PUT", wire.PathSessions+"/p", `{"kind":"pipe"}`), "pipe")
	event := inSession("p", "echo hello")
	m := interleaved(b,
		func() { want(b, ours.action(event), "hello\n") },
		func() { want(b, theirs.ask("POST", "/", "echo hello"), "hello") },
	)
	b.ReportMetric(us(m[0]), "µs/native")
	b.ReportMetric(us(m[1]), "µs/floor")
	floor.Bound(b, float64(m[0])/float64(m[1]), "×floor", 1.5)
}

// BenchmarkFloorExec is a program of its own, outside of any session.
func BenchmarkFloorExec(b *testing.B) {
	box := sandboxdtest.Start(b)
	ours, theirs := call(b, box.Dial), call(b, startFloor(b, floor.Piped))
	m := interleaved(b,
		func() { ours.exec(`{"argv":["true"]}`) },
		func() { theirs.ask("POST", "/exec", "true") },
	)
	b.ReportMetric(us(m[0]), "µs/native")
	b.ReportMetric(us(m[1]), "µs/floor")
	floor.Bound(b, float64(m[0])/float64(m[1]), "×floor", 1.25)
}

// BenchmarkFloorOutput is 1 MB of output of a program, and the same in a shell on pipes, which is reported.
func BenchmarkFloorOutput(b *testing.B) {
	box := sandboxdtest.Start(b)
	file := filepath.Join(b.TempDir(), "file")
	const size = 1 << 20
	if err := os.WriteFile(file, bytes.Repeat([]byte("0123456789abcde\n"), size/16), 0o644); err != nil {
		b.Fatal(err)
	}
	ours, theirs := call(b, box.Dial), call(b, startFloor(b, floor.Piped))
	want(b, ours.ask("PUT", wire.PathSessions+"/p", `{"kind":"pipe"}`), "pipe")
	whole := func(got []byte) {
		if len(got) != size {
			b.Fatalf("%d bytes", len(got))
		}
	}
	exec, event := `{"argv":["cat","`+file+`"]}`, inSession("p", "cat "+file)
	m := interleaved(b,
		func() { whole(ours.exec(exec)) },
		func() { whole(theirs.ask("POST", "/exec", "cat "+file)) },
		func() { whole(ours.action(event)) },
		func() { whole(theirs.ask("POST", "/", "cat "+file)) },
	)
	b.ReportMetric(us(m[0]), "µs/exec")
	b.ReportMetric(us(m[1]), "µs/floor")
	b.ReportMetric(us(m[2]), "µs/pipe")
	b.ReportMetric(us(m[3]), "µs/pipefloor")
	b.ReportMetric(float64(m[2])/float64(m[3]), "×pipefloor")
	floor.Bound(b, float64(m[0])/float64(m[1]), "×floor", 1.3)
}

// BenchmarkFloorSessions is 100 sessions that are kept busy by a client each: how many commands they do in a second, as
// a share of what the floor does with 100 shells. An iteration is 100 commands of either.
func BenchmarkFloorSessions(b *testing.B) {
	for _, kind := range []struct{ ours, floor string }{{"pipe", floor.Piped}, {"pty", floor.Ordinary}} {
		b.Run(kind.ours, func(b *testing.B) { benchmarkSessions(b, kind.ours, kind.floor) })
	}
}

func benchmarkSessions(b *testing.B, kind, floorKind string) {
	need.Tool(b, "bash")
	const n = 100
	box := sandboxdtest.Start(b)
	dial := startFloor(b, floorKind)
	var ours, theirs []func()
	for i := range n {
		c, f, name, path := call(b, box.Dial), call(b, dial), fmt.Sprintf("s%d", i), fmt.Sprintf("/s%d", i)
		want(b, c.ask("PUT", wire.PathSessions+"/"+name, `{"kind":"`+kind+`"}`), kind)
		event := inSession(name, "echo hello")
		ours = append(ours, func() { c.action(event) })
		theirs = append(theirs, func() { f.ask("POST", path, "echo hello") })
	}
	share := func(works []func(), each int) time.Duration {
		var left atomic.Int64
		left.Store(int64(each) * n)
		begun := time.Now()
		var wg sync.WaitGroup
		for _, w := range works {
			wg.Go(func() {
				for left.Add(-1) >= 0 {
					w()
				}
			})
		}
		wg.Wait()
		return time.Since(begun)
	}
	share(ours, 2)
	share(theirs, 2)
	b.ResetTimer()
	var us, them time.Duration
	for left := b.N; left > 0; left -= 10 { // in turn
		us += share(ours, min(left, 10))
		them += share(theirs, min(left, 10))
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)*n/us.Seconds(), "commands/s")
	b.ReportMetric(float64(b.N)*n/them.Seconds(), "floor/s")
	b.ReportMetric(0, "ns/op")
	if b.N < 20 {
		return
	}
	floor.Bound(b, float64(them)/float64(us), "×floor", -0.8)
}
