package jail_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// BenchmarkAuditExec is the time that `/bin/true` takes where programs that are started are told of, and in turn with it where
// nothing is. The ratio is of the medians.
func BenchmarkAuditExec(b *testing.B) {
	benchmarkAudit(b, sandbox.Audit{Exec: true}, "for i in $(seq 100); do /bin/true; done", 100)
}

// BenchmarkAuditFiles is the same of opening, writing and closing a file where each use of one is told of, as far as the rate allows.
func BenchmarkAuditFiles(b *testing.B) {
	benchmarkAudit(b, sandbox.Audit{Files: sandbox.AuditFilesAll}, python(`
import os
for i in range(5000):
    f = os.open("f", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.write(f, b"hello")
    os.close(f)`), 5000)
}

// BenchmarkAuditOther is what auditing of programs costs a call that it is nothing to.
func BenchmarkAuditOther(b *testing.B) {
	benchmarkAudit(b, sandbox.Audit{Exec: true}, python(`
import os
for i in range(20000):
    os.getppid()`), 20000)
}

// BenchmarkAuditStart is the time of a start to the first observation, of `true`.
func BenchmarkAuditStart(b *testing.B) {
	h := newHeard()
	backend := audited(b, b.TempDir(), h)
	defer backend.Close()
	var off, on []time.Duration
	for b.Loop() {
		off = append(off, start(b, backend, sandbox.Spec{ID: "off"}))
		on = append(on, start(b, backend, sandbox.Spec{ID: "on", Audit: sandbox.Audit{Exec: true, Privileges: true}}))
	}
	report(b, off, on, 1)
}

func report(b *testing.B, off, on []time.Duration, each int) {
	b.ReportMetric(micro(median(off))/float64(each), "µs/off")
	b.ReportMetric(micro(median(on))/float64(each), "µs/on")
	b.ReportMetric(micro(median(on))/micro(median(off)), "×off")
	slices.Sort(off)
	slices.Sort(on)
	tenth := func(d []time.Duration) float64 { return micro(d[len(d)/10]) } // what it takes where nobody is in the way
	b.ReportMetric(tenth(off)/float64(each), "µs/off-p10")
	b.ReportMetric(tenth(on)/tenth(off), "×off-p10")
	b.ReportMetric(0, "ns/op")
}

func benchmarkAudit(b *testing.B, a sandbox.Audit, command string, each int) {
	h := newHeard()
	backend := audited(b, b.TempDir(), h)
	ends(b, backend, "off", "on")
	plain, watched := began(b, backend, sandbox.Spec{ID: "off"}), began(b, backend, sandbox.Spec{ID: "on", Audit: a})
	took := func(s *backends.Sandbox) time.Duration {
		begun := time.Now()
		run(b, s, command)
		return time.Since(begun)
	}
	var off, on []time.Duration
	for b.Loop() {
		off, on = append(off, took(plain)), append(on, took(watched))
	}
	report(b, off, on, each)
}
