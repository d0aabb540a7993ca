package jail_test

import (
	"os/exec"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/floor"
	"github.com/sandtree/sandtree/testing/need"
)

// BenchmarkStartToBubblewrap is the time from nothing to the first observation in a jail, against the one in which bubblewrap
// makes namespaces, a root and a bash in it that prints a word: a sandbox without a server, a control group or a way out.
func BenchmarkStartToBubblewrap(b *testing.B) {
	bwrap := need.Tool(b, "bwrap")
	backend := backends.Open("jail", open(b, b.TempDir()), backends.Config{})
	defer backend.Close()
	args := []string{"--unshare-all", "--die-with-parent", "--cap-drop", "ALL", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin",
		"--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "bash", "-c", "echo x"}
	var jailed, wrapped []time.Duration
	for b.Loop() {
		jailed = append(jailed, start(b, backend, sandbox.Spec{ID: "bench"}))
		begun := time.Now()
		if out, err := exec.Command(bwrap, args...).Output(); err != nil || string(out) != "x\n" {
			b.Fatalf("%q, %v", out, err)
		}
		wrapped = append(wrapped, time.Since(begun))
	}
	b.ReportMetric(micro(median(wrapped)), "µs/bwrap")
	b.ReportMetric(micro(median(jailed)), "µs/jail")
	b.ReportMetric(0, "ns/op")
	floor.Bound(b, micro(median(jailed))/micro(median(wrapped)), "×bwrap", 3)
}
