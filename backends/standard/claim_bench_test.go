package standard_test

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/docker"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/backends/local"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/dockerd"
	"github.com/sandtree/sandtree/testing/floor"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

func TestMain(m *testing.M) { os.Exit(dockerd.Main(m)) }

// BenchmarkClaim is the time from the wish for a sandbox until it is ready, its shell too, of warm ones and cold ones in turn.
// Beside it, as a measure of how busy the machine is, is that of a bash which prints a word and takes 2.1 to 3.2 ms where nothing
// else is on: the bounds against it are what is reached, of which 5 ms would be about twice.
func BenchmarkClaim(b *testing.B) {
	program := sandboxdtest.Binary(b)
	b.Run("local", func(b *testing.B) {
		d, err := local.New(local.Config{StateDir: b.TempDir(), Sandboxd: program})
		if err != nil {
			b.Fatal(err)
		}
		claims(b, d, sandbox.Spec{ID: "bench"}, 0.8, 2.5)
	})
	b.Run("jail", func(b *testing.B) {
		claims(b, jailDriver(b, program), sandbox.Spec{ID: "bench"}, 0.6, 1.8)
	})
	b.Run("jail-environment", func(b *testing.B) {
		claims(b, jailDriver(b, program), sandbox.Spec{ID: "bench", Env: map[string]string{"A": "b"}}, 0.9, 4)
	})
	b.Run("jail-named", func(b *testing.B) {
		need.Root(b)
		claims(b, jailDriver(b, program), sandbox.Spec{ID: "bench", Workspace: b.TempDir()}, 0.9, 4)
	})
	b.Run("docker", func(b *testing.B) {
		host := dockerd.Host(b)
		dockerd.MakeImages(b, host)
		d, err := docker.New(docker.Config{StateDir: b.TempDir(), Sandboxd: program, Host: host, Image: dockerd.Image, Pull: docker.PullNever})
		if err != nil {
			b.Fatal(err)
		}
		claims(b, d, sandbox.Spec{ID: "bench"}, 0.1, 2.2)
	})
}

func jailDriver(b *testing.B, program string) backends.Driver {
	need.Jail(b)
	d, err := jail.New(jail.Config{StateDir: b.TempDir(), Sandboxd: program})
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// claims measures warm and cold sandboxes of a driver in turn. The bounds are for the ratios of the medians, to a cold start and to
// the start of a bash.
func claims(b *testing.B, d backends.Driver, spec sandbox.Spec, toStart, toBash float64) {
	var next backends.Blank
	claiming := backends.Open("bench", d, backends.Config{Claim: func(string, string, sandbox.Spec) backends.Blank { return next }})
	starting := backends.Open("bench", d, backends.Config{})
	defer starting.Close() // and with it the driver
	heater, ok := d.(backends.Warmer)
	if !ok {
		b.Skip("this driver starts nothing before it is asked for")
	}
	var warm, cold, warmFirst, coldFirst, shell []time.Duration
	for b.Loop() {
		begun := time.Now()
		if err := exec.Command("bash", "-c", "echo x").Run(); err != nil {
			b.Fatal(err)
		}
		shell = append(shell, time.Since(begun))
		var err error
		if next, err = heater.Warm(b.Context(), spec); err != nil {
			b.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // so that its shell waits
		w, wf := place(b, claiming, spec)
		c, cf := place(b, starting, spec)
		warm, cold, warmFirst, coldFirst = append(warm, w), append(cold, c), append(warmFirst, wf), append(coldFirst, cf)
	}
	claim, start, bash := middle(warm), middle(cold), middle(shell)
	b.ReportMetric(bash, "ms/bash")
	b.ReportMetric(claim, "ms/claim")
	b.ReportMetric(start, "ms/start")
	b.ReportMetric(middle(warmFirst), "ms/claim-to-observation")
	b.ReportMetric(middle(coldFirst), "ms/start-to-observation")
	b.ReportMetric(0, "ns/op")
	floor.Bound(b, claim/start, "×start", toStart)
	floor.Bound(b, claim/bash, "×bash", toBash)
}

// place starts a sandbox and ends it; took is until it is ready, first until it has shown something.
func place(b *testing.B, with *backends.Backend, spec sandbox.Spec) (took, first time.Duration) {
	begun := time.Now()
	s, err := with.Start(b.Context(), spec)
	if err != nil {
		b.Fatal(err)
	}
	took = time.Since(begun)
	if _, err := s.Do(b.Context(), sandbox.Action{Args: sandbox.RunArgs{Command: "true"}}, nil); err != nil {
		b.Fatal(err)
	}
	first = time.Since(begun)
	if err := s.Stop(b.Context(), time.Minute); err != nil {
		b.Fatal(err)
	}
	return took, first
}

// middle is the median, in milliseconds.
func middle(times []time.Duration) float64 {
	slices.Sort(times)
	return float64(times[len(times)/2]) / float64(time.Millisecond)
}
