package chaos

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/dockerd"
	"github.com/sandtree/sandtree/testing/need"
)

func TestMain(m *testing.M) { os.Exit(dockerd.Main(m)) }

var (
	shortIsolated = storm{runtimes: 2, kills: 6, between: 150 * time.Millisecond, cut: 40_000}
	fullIsolated  = storm{runtimes: 3, kills: 100, between: 250 * time.Millisecond, cut: 40_000}
)

// isolated is how bad it gets for backends that isolate.
func isolated() storm {
	if os.Getenv("CHAOS") == "full" {
		return fullIsolated
	}
	return shortIsolated
}

// TestChaosJail kills controllers, servers and programs of jails, which are paused and stopped in between.
func TestChaosJail(t *testing.T) {
	need.Root(t)
	need.Jail(t)
	newField(t, isolated(), jailed{}).weather()
}

// TestChaosDocker kills controllers, servers, containers and the engine, which is started again.
func TestChaosDocker(t *testing.T) {
	need.Root(t)
	e := dockerd.Private(t)
	dockerd.MakeImages(t, e.Host())
	newField(t, isolated(), contained{e, dockerd.Client(t, e.Host())}).weather()
}

// weather lets the storm pass, and looks what it has left.
func (f *field) weather() {
	f.t.Cleanup(f.remove)
	for f.kills < f.storm.kills {
		f.run(f.rage)
	}
	f.calm()
	f.check()
}

// calm lets a last controller bring each runtime three actions further, which ends by itself when it has: every runtime has
// recovered.
func (f *field) calm() {
	f.t.Helper()
	const more = 3
	want := map[sandbox.ID]int{}
	for _, id := range f.ids {
		want[id] = len(f.told[id]) + more
	}
	cmd := f.controller(more)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	late := time.AfterFunc(3*time.Minute, func() { cmd.Process.Kill() })
	defer late.Stop()
	f.heard = make(chan struct{})
	f.listen(out)
	if err := cmd.Wait(); err != nil {
		f.t.Errorf("not all runtimes have recovered: %v; asked again: %v\n%s", err, f.retries, stderr.Bytes())
	}
	for _, id := range f.ids {
		if len(f.told[id]) != want[id] {
			f.t.Errorf("%s has come to %d, not to %d", id, len(f.told[id]), want[id])
		}
	}
}
