package jail_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
)

// TestThrottledCache reads through the page cache, which has let go of the file.
func TestThrottledCache(t *testing.T) {
	need.Root(t)
	need.Tool(t, "python3")
	const rate = 8 << 20
	b := backends.Open("jail", open(t, t.TempDir()), backends.Config{})
	spec := sandbox.Spec{ID: "slow", Limits: sandbox.Limits{DiskRead: rate}}
	if err := b.Supports(spec); err != nil {
		t.Skip(err)
	}
	ends(t, b, "slow")
	s := began(t, b, spec)
	got := run(t, s, `python3 -c '
import os, time
with open("f", "wb") as f:
    f.write(os.urandom(16 << 20)); f.flush(); os.fsync(f.fileno())
    os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
begun = time.monotonic()
open("f", "rb").read()
print(time.monotonic() - begun)'`)
	if took, err := strconv.ParseFloat(got, 64); err != nil || took < 1.5 { // nothing but the limit makes it slow, and what is slower is so for other reasons
		t.Errorf("16 MiB at 8 MiB/s were read in %q s", got)
	}
}

// TestWhyNotThrottled names a limit that the machine cannot keep.
func TestWhyNotThrottled(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "sandtree-")
	if err != nil {
		t.Skip(err)
	}
	defer os.RemoveAll(dir)
	b := backends.Open("jail", open(t, dir), backends.Config{})
	defer b.Close()
	err = b.Supports(sandbox.Spec{ID: "x", Limits: sandbox.Limits{DiskRead: 1 << 20}})
	if sandbox.CodeOf(err) != sandbox.Unsupported || !strings.Contains(err.Error(), "disk") {
		t.Errorf("on a file system in memory it says %v", err)
	}
}
