package escape

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// A bomb is a program that uses up something which the machine has once for all.
type bomb struct {
	name    string
	limits  sandbox.Limits
	command string
	want    string // in what it prints; "" if it prints what it likes
	or      string // what it may print instead; "" is nothing else
	fatal   bool   // it may end the sandbox itself
}

func bombs(o Options) []bomb {
	all := []bomb{
		{name: "ForkBomb", limits: sandbox.Limits{Processes: 100},
			command: `timeout 5 bash -c ':(){ :|:& }; : 2>/dev/null; sleep 4' >/dev/null 2>&1; pkill -9 sleep; echo over`, want: "over",
			or: "Resource temporarily unavailable"}, // on a slow machine it burns for longer than bash tries to start pkill
		{name: "Descriptors", command: `python3 -c '
import os
held = []
try:
    while True: held.append(os.open("/dev/null", os.O_RDONLY))
except OSError as e:
    print(len(held) <= 65536, e.strerror)'`, want: "True Too many open files"},
		{name: "LogFlood", command: `timeout 5 bash -c 'while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done'; echo`},
	}
	if o.Memory {
		all = append(all,
			bomb{name: "MemoryBomb", limits: sandbox.Limits{Memory: 128 << 20}, fatal: true,
				command: `python3 -c 'held = []
while True: held.append(bytearray(1 << 20))'; echo ended with $?`, want: "ended with 137"},
			bomb{name: "MemoryInTmp", limits: sandbox.Limits{Memory: 128 << 20}, fatal: true,
				command: `head -c 1G /dev/zero >/tmp/much; echo $(($(stat -c %s /tmp/much) < 200000000)); rm -f /tmp/much`, want: "1"})
	}
	if o.Disk {
		all = append(all, bomb{name: "DiskFiller", limits: sandbox.Limits{Disk: 64 << 20},
			command: `head -c 1G /dev/zero >much; echo $(($(stat -c %s much) <= 67108864)); rm -f much`, want: "1"})
	}
	return all
}

// testBomb sets it off and looks whether everybody else goes on.
func testBomb(t *testing.T, b *backends.Backend, neighbour cell, k bomb) {
	c := open(t, b, sandbox.ID(strings.ToLower(k.name)), k.limits)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan string, 1)
	go func() { // ends with ctx
		o, err := c.Do(ctx, sandbox.Action{Args: sandbox.RunArgs{Command: k.command, Blocking: true}}, nil)
		if err != nil {
			done <- "error: " + err.Error()
			return
		}
		done <- o.Content
	}()
	// While it burns, the machine and the neighbour do as they did.
	neighbour.t = t
	for range 3 {
		begun := time.Now()
		if out, err := exec.CommandContext(ctx, "true").CombinedOutput(); err != nil {
			t.Errorf("the host cannot start a process: %v %s", err, out)
		}
		if got := neighbour.run("echo $((6*7))"); got != "42" {
			t.Errorf("the neighbour says %q", got)
		}
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("the neighbour took %v", took)
		}
		time.Sleep(200 * time.Millisecond) // for the bomb to spread; nothing hangs on how long
	}
	out := <-done
	if strings.HasPrefix(out, "error: ") {
		if exit, err := c.Wait(ctx); !k.fatal || err != nil {
			t.Errorf("%s (%v, %v)", out, exit, err)
		} else if !exit.Memory {
			t.Errorf("the sandbox has ended with %+v, and nobody says that it was for want of memory", exit)
		}
		return
	}
	if !strings.Contains(out, k.want) && (k.or == "" || !strings.Contains(out, k.or)) {
		t.Errorf("it printed %q, want %q", tail(out), k.want)
	}
	c.t = t
	if got := c.run("echo $((6*7))"); !strings.HasSuffix(got, "42") {
		t.Errorf("afterwards the sandbox itself says %q", got)
	}
}

func tail(s string) string {
	if len(s) > 300 {
		return fmt.Sprintf("… %s", s[len(s)-300:])
	}
	return s
}
