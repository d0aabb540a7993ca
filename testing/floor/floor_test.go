package floor_test

import (
	"strings"
	"testing"

	"github.com/sandtree/sandtree/testing/floor"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
)

func TestFloor(t *testing.T) {
	need.Tool(t, "bash")
	leak.Check(t)
	dial, stop := floor.StartServer(t, floor.Stripped)
	defer stop()
	server, hangUp := floor.Client(dial)
	defer hangUp()
	ordinary, _ := floor.StartServer(t, floor.Ordinary)
	typed, hangUpToo := floor.Client(ordinary)
	defer hangUpToo()
	if got, err := typed("echo hel''lo"); err != nil || !strings.Contains(got, "hello") {
		t.Errorf("the ordinary one: %q, %v", got, err)
	}
	pipe, end := floor.StartPipe(t)
	defer end()
	for name, run := range map[string]func(string) (string, error){"server": server, "pipe": pipe} {
		for _, c := range []struct{ command, want string }{
			{"true", ""},
			{"echo hello", "hello\n"},
			{"x=5; echo one; echo two", "one\ntwo\n"},
			{"echo $x", "5\n"}, // one shell for all
			{"seq 20000 | tail -c 60000 | wc -c", "60000\n"},
			{"printf '%050000d' 0", strings.Repeat("0", 50000)},
		} {
			if got, err := run(c.command); err != nil || got != c.want {
				t.Errorf("%s: %s: %.40q, %v; want %.40q", name, c.command, got, err, c.want)
			}
		}
	}
}

func BenchmarkServer(b *testing.B) {
	need.Tool(b, "bash")
	dial, _ := floor.StartServer(b, floor.Stripped)
	run, hangUp := floor.Client(dial)
	defer hangUp()
	bench(b, run)
}

func BenchmarkPipe(b *testing.B) {
	need.Tool(b, "bash")
	run, _ := floor.StartPipe(b)
	bench(b, run)
}

func bench(b *testing.B, run func(string) (string, error)) {
	for b.Loop() {
		if _, err := run("true"); err != nil {
			b.Fatal(err)
		}
	}
}
