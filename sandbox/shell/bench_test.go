package shell

import (
	"bytes"
	"os/exec"
	"testing"

	"github.com/creack/pty"

	"github.com/sandtree/sandtree/sandbox"
)

func BenchmarkTrue(b *testing.B) {
	s := start(b, Config{})
	b.ReportAllocs()
	for b.Loop() {
		run(b, s, "true", 0)
	}
}

func BenchmarkEcho(b *testing.B) {
	s := start(b, Config{})
	b.ReportAllocs()
	for b.Loop() {
		if o := run(b, s, "echo hello", 0); o.content != "hello" {
			b.Fatal(o)
		}
	}
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
	for b.Loop() {
		ask("echo hel''lo\n", "hello\r\n")
	}
}
