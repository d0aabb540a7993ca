package shell

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// A command that closes the shell's output does not silence those that come after it.
func TestClosedOutputIsMended(t *testing.T) {
	s := start(t, Config{})
	for _, command := range []string{"exec >&-", "exec 2>&-", "exec >&- 2>&-", "f() { exec >&-; }; f"} {
		do(t, s, sandbox.RunArgs{Command: command, Blocking: true}, time.Minute)
		if o := run(t, s, "echo out; echo err >&2", 0); o.content != "out\nerr" {
			t.Errorf("after %q: %q", command, o.content)
		}
	}
	run(t, s, "exec >file", 0) // which is meant
	run(t, s, "echo hidden", 0)
	run(t, s, "exec >/dev/tty", 0)
	if o := run(t, s, "cat file", 0); o.content != "hidden" {
		t.Errorf("%q", o.content)
	}
}

func TestTracedMending(t *testing.T) {
	s := start(t, Config{})
	run(t, s, "set -x; exec 3>&1", 0)
	if o := run(t, s, "echo traced", 0); o.content != "++ echo traced\ntraced" {
		t.Errorf("%q", o.content)
	}
}

// An interrupt that hits a program which ends just then is not lost.
func TestAnInterruptBetweenSmallPrograms(t *testing.T) {
	s := start(t, Config{})
	for i := range 10 {
		begun := filepath.Join(s.Cwd(), fmt.Sprint("begun", i))
		ended := make(chan seen)
		go func() {
			ended <- do(t, s, sandbox.RunArgs{Command: "touch " + begun + "; while :; do /bin/true; done", Blocking: true}, time.Minute)
		}()
		for { // until it is in the loop; where exactly is chance, and meant to be
			if _, err := os.Stat(begun); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if err := s.Interrupt(); err != nil {
			t.Fatal(err)
		}
		if o := <-ended; o.exit != 130 {
			t.Fatalf("%+v", o)
		}
	}
}

// An interrupt reaches a command that has hardly begun, when bash may be between making a program and waiting for it. The
// first may still get lost; the second may not.
func TestAnInterruptAtOnce(t *testing.T) {
	s := start(t, Config{})
	for i := range 40 {
		do(t, s, sandbox.RunArgs{Command: "sleep 30", Blocking: true}, time.Duration(i%4)*time.Millisecond-1)
		o := do(t, s, sandbox.RunArgs{Command: "C-c", IsInput: true, Blocking: true}, time.Second)
		if o.exit == -1 {
			o = do(t, s, sandbox.RunArgs{Command: "C-c", IsInput: true, Blocking: true}, time.Minute)
		}
		if o.exit != 130 {
			t.Fatalf("round %d: %+v", i, o)
		}
	}
}
