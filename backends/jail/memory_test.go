package jail_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// TestMemoryStorage fills one, and looks that its files are nowhere else and gone with the server.
func TestMemoryStorage(t *testing.T) {
	need.Root(t)
	need.Jail(t)
	b := backends.Open("jail", stored(t, t.TempDir(), "memory"), backends.Config{})
	ends(t, b, "m")
	spec := sandbox.Spec{ID: "m", Limits: sandbox.Limits{Disk: 32 << 20, Files: 500}}
	s := began(t, b, spec)
	if got := run(t, s, "echo kept >kept; head -c 100M /dev/zero 2>&1 >much; echo full"); !strings.Contains(got, "No space left") || !strings.Contains(got, "full") {
		t.Errorf("filling it says %q", got)
	}
	if got := run(t, s, "rm much; findmnt -n -o FSTYPE -T . || stat -f -c %T ."); got != "tmpfs" {
		t.Errorf("the workspace is on %q", got)
	}
	if got := run(t, s, `for i in $(seq 600); do : >f$i || break; done 2>&1 | tail -1; rm -f f*`); !strings.Contains(got, "No space left") {
		t.Errorf("600 files where 500 may be: %q", got)
	}
	if err := s.Halt(t.Context()); err != nil {
		t.Fatal(err)
	}
	spec.Epoch = 1
	s = began(t, b, spec)
	if got := run(t, s, "ls"); got != "" {
		t.Errorf("after it was revived, it has %q", got)
	}
	if f, ok := s.Instance().(backends.Fresh); !ok || !f.Fresh() {
		t.Error("it does not say that it has forgotten")
	}
	stop := sandbox.Idle{StopAfter: time.Hour}
	if err := b.CheckIdle(spec, stop); sandbox.CodeOf(err) != sandbox.Unsupported || !strings.Contains(err.Error(), "forget") {
		t.Errorf("it can be stopped when idle: %v", err)
	}
	d, err := jail.New(jail.Config{StateDir: t.TempDir(), Sandboxd: sandboxdtest.Binary(t), Storage: "memory", Forget: true})
	if err != nil {
		t.Fatal(err)
	}
	forgetting := backends.Open("jail", d, backends.Config{})
	defer forgetting.Close()
	if err := forgetting.CheckIdle(spec, stop); err != nil {
		t.Errorf("what may forget cannot be stopped when idle: %v", err)
	}
}

// TestLiftedDisk revives a sandbox without the limit of the disk that it was made with.
func TestLiftedDisk(t *testing.T) {
	need.Root(t)
	need.Tool(t, "mkfs.ext4")
	b := backends.Open("jail", stored(t, t.TempDir(), "image"), backends.Config{})
	ends(t, b, "d")
	s := began(t, b, sandbox.Spec{ID: "d", Limits: sandbox.Limits{Disk: 64 << 20, Processes: 50}})
	if err := s.Halt(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []sandbox.Limits{{}, {Disk: -1}, {Disk: 128 << 20}, {Disk: 64 << 20, Files: 100}} {
		if _, err := b.Start(t.Context(), sandbox.Spec{ID: "d", Epoch: 1, Limits: want}); sandbox.CodeOf(err) != sandbox.Conflict {
			t.Errorf("%+v: %v", want, err)
		}
	}
	s = began(t, b, sandbox.Spec{ID: "d", Epoch: 1, Limits: sandbox.Limits{Disk: 64 << 20, Processes: 200}}) // which was fewer
	if got := run(t, s, "for i in $(seq 150); do sleep 60 & done 2>&1 | grep -c Resource; jobs -p | wc -l; kill $(jobs -p)"); !strings.HasPrefix(got, "0") {
		t.Errorf("with 200 processes it says %q", got)
	}
}

// TestMemoryShown looks for the group's own bound where programs look for it, with either version of control groups: a runtime sizes
// its heap by it, and the server sees there what the kernel has killed.
func TestMemoryShown(t *testing.T) {
	need.Root(t)
	need.Jail(t)
	need.Cgroup(t)
	b := backends.Open("jail", open(t, t.TempDir()), backends.Config{})
	ends(t, b, "m")
	s := began(t, b, sandbox.Spec{ID: "m", Limits: sandbox.Limits{Memory: 256 << 20}})
	if got := run(t, s, "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null"); got != "268435456" {
		t.Errorf("its memory's bound is %q", got)
	}
	if got := run(t, s, "cat /sys/fs/cgroup/memory/memory.oom_control /sys/fs/cgroup/memory.events 2>/dev/null | grep -c '^oom_kill '"); got != "1" {
		t.Errorf("of what the kernel has killed it sees %q", got)
	}
}
