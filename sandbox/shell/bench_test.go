package shell

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/sandtree/sandtree/sandbox"
)

// each runs f in a loop, and tells the percentiles of the time it takes.
func each(b *testing.B, f func()) {
	b.ReportAllocs()
	var took []time.Duration
	for b.Loop() {
		begin := time.Now()
		f()
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	for _, p := range []int{10, 50, 99} {
		b.ReportMetric(float64(took[len(took)*p/100].Nanoseconds())/1e3, fmt.Sprintf("p%d-µs", p))
	}
}

func BenchmarkTrue(b *testing.B) {
	s := start(b, Config{})
	each(b, func() { run(b, s, "true", 0) })
}

func BenchmarkEcho(b *testing.B) {
	s := start(b, Config{})
	each(b, func() {
		if o := run(b, s, "echo hello", 0); o.content != "hello" {
			b.Fatal(o)
		}
	})
}

// BenchmarkStart is a session from its start to its end.
func BenchmarkStart(b *testing.B) {
	c := Config{Env: environ(b.TempDir())}
	each(b, func() {
		s, err := Start(c)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkMegabyte is the time to get 1 MB of output.
func BenchmarkMegabyte(b *testing.B) {
	s := start(b, Config{})
	run(b, s, "head -c 1000000 /dev/zero | tr '\\0' x | fold -w 99 >big", 0)
	b.SetBytes(1e6)
	b.ReportAllocs()
	for b.Loop() {
		if o := do(b, s, sandbox.RunArgs{Command: "cat big"}, 0); o.exit != 0 {
			b.Fatal(o)
		}
	}
}

// BenchmarkBarePTY is the yardstick: one round trip to a bash that reads its commands from a bare terminal.
func BenchmarkBarePTY(b *testing.B) {
	cmd := exec.Command("bash", "--norc", "--noediting")
	cmd.Env = append(environ(b.TempDir()), "PS1=")
	tty, err := pty.Start(cmd)
	if err != nil {
		b.Fatal(err)
	}
	defer cmd.Wait()
	defer tty.Close()
	defer cmd.Process.Kill()
	buf := make([]byte, 4096)
	ask := func(line, end string) {
		if _, err := tty.WriteString(line); err != nil {
			b.Fatal(err)
		}
		var got []byte
		for !bytes.Contains(got, []byte(end)) {
			n, err := tty.Read(buf)
			if err != nil {
				b.Fatal(err)
			}
			got = append(got, buf[:n]...)
		}
	}
	ask("stty -echo; PS1=; echo rea''dy\n", "ready")
	each(b, func() { ask("echo hel''lo\n", "hello\r\n") })
}
