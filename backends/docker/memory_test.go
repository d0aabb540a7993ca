package docker

import (
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// TestMemoryStorage looks that files are in memory, how much of it they can have, and that they are gone with the container.
func TestMemoryStorage(t *testing.T) {
	c := testConfig(t)
	c.Storage = storageMemory
	d, b := opened(t, c)
	spec := sandbox.Spec{ID: "memory", Limits: sandbox.Limits{Memory: 256 << 20}}
	s, i := started(t, b, spec)
	prints(t, s, "stat -f -c %T /workspace $HOME; echo x >kept; cat kept; stat -c %a .", "tmpfs\ntmpfs\nx\n700")
	prints(t, s, "df -k . | awk 'END { print $2 }'", "131072")
	if err := i.Halt(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, _ = started(t, b, sandbox.Spec{ID: "memory", Epoch: 1, Limits: spec.Limits})
	prints(t, s, "ls", "")
	stop := sandbox.Idle{StopAfter: time.Hour}
	if err := b.CheckIdle(spec, stop); sandbox.CodeOf(err) != sandbox.Unsupported || !strings.Contains(err.Error(), "forget") {
		t.Errorf("it can be stopped when idle: %v", err)
	}
	d.config.Forget = true
	if err := b.CheckIdle(spec, stop); err != nil {
		t.Errorf("what may forget cannot be stopped when idle: %v", err)
	}
}

// TestLiftedLimits starts a container that has ended with fewer limits than it was made with.
func TestLiftedLimits(t *testing.T) {
	_, b := opened(t, testConfig(t))
	_, i := started(t, b, sandbox.Spec{ID: "lifted", Limits: sandbox.Limits{Memory: 256 << 20, Processes: 50}})
	if err := i.Halt(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []sandbox.Limits{{Memory: -1, Processes: 50}, {Memory: 256 << 20, Processes: -1}} {
		if _, err := b.Start(t.Context(), sandbox.Spec{ID: "lifted", Epoch: 1, Limits: want}); sandbox.CodeOf(err) != sandbox.Conflict {
			t.Errorf("%+v: %v", want, err)
		}
	}
	s, _ := started(t, b, sandbox.Spec{ID: "lifted", Epoch: 1, Limits: sandbox.Limits{Memory: 512 << 20}})
	prints(t, s, "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null", "536870912")
}
