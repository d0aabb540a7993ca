package docker

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/local"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/dockerd"
	"github.com/sandtree/sandtree/testing/floor"
	"github.com/sandtree/sandtree/testing/need"
)

// bareConfig is a configuration whose containers are made of an image and see nothing of the host.
func bareConfig(b *testing.B, network string) Config {
	c := testConfig(b)
	c.Image, c.Mounts, c.Network = dockerd.Image, nil, network
	return c
}

// BenchmarkStart is the time from nothing to the first observation, of `echo x`. Next to it, in turn, is `docker run` of the same
// image and network with bash -c 'echo x', to its first output. The ratio is of the medians.
func BenchmarkStart(b *testing.B) {
	program := need.Tool(b, "docker")
	for _, network := range []string{networkNone, networkBridge} {
		b.Run(network, func(b *testing.B) {
			c := bareConfig(b, network)
			_, backend := opened(b, c)
			startOnce(b, backend) // the first fills caches
			var ours, theirs []time.Duration
			for b.Loop() {
				ours = append(ours, startOnce(b, backend))
				theirs = append(theirs, dockerRun(b, program, c))
			}
			report(b, ours, theirs, "ms/sandbox", "ms/docker-run", time.Millisecond)
			floor.Bound(b, ratio(ours, theirs), "×docker-run", 1.15)
		})
	}
}

func startOnce(b *testing.B, backend *backends.Backend) time.Duration {
	begun := time.Now()
	s, err := backend.Start(b.Context(), sandbox.Spec{ID: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.Do(b.Context(), sandbox.Action{Args: sandbox.RunArgs{Command: "echo x"}}, nil); err != nil {
		b.Fatal(err)
	}
	took := time.Since(begun)
	if err := s.Stop(b.Context(), 0); err != nil {
		b.Fatal(err)
	}
	return took
}

// dockerRun gives the time to the first output; the container is removed by the engine meanwhile.
func dockerRun(b *testing.B, program string, c Config) time.Duration {
	cmd := exec.Command(program, "-H", c.Host, "run", "--rm", "--network", c.Network, c.Image, "bash", "-c", "echo x")
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+c.StateDir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	r := bufio.NewReader(out)
	_, err = r.ReadByte()
	took := time.Since(begun)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		b.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	return took
}

// BenchmarkExec is the time of `true` in a container, beside that in a sandbox of the local driver, in turn.
func BenchmarkExec(b *testing.B) {
	c := testConfig(b)
	_, backend := opened(b, c)
	inside, _ := started(b, backend, sandbox.Spec{ID: "bench"})
	d, err := local.New(local.Config{StateDir: b.TempDir(), Sandboxd: c.Sandboxd})
	if err != nil {
		b.Fatal(err)
	}
	other := backends.Open("local", d, backends.Config{})
	defer other.Close()
	outside, err := other.Start(b.Context(), sandbox.Spec{ID: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	defer outside.Stop(b.Context(), 0)
	one := func(s *backends.Sandbox) time.Duration {
		begun := time.Now()
		if _, err := s.Do(b.Context(), sandbox.Action{Args: sandbox.RunArgs{Command: "true"}}, nil); err != nil {
			b.Fatal(err)
		}
		return time.Since(begun)
	}
	var ours, theirs []time.Duration
	for b.Loop() {
		ours, theirs = append(ours, one(inside)), append(theirs, one(outside))
	}
	report(b, ours, theirs, "µs/docker", "µs/local", time.Microsecond)
	floor.Bound(b, ratio(ours, theirs), "×local", 1.2)
}

// BenchmarkPause is a pause and a resume, directly and by the engine.
func BenchmarkPause(b *testing.B) {
	d, backend := opened(b, bareConfig(b, networkNone))
	_, i := started(b, backend, sandbox.Spec{ID: "bench"})
	var ours, theirs []time.Duration
	for b.Loop() {
		begun := time.Now()
		if err := i.Pause(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := i.Resume(b.Context()); err != nil {
			b.Fatal(err)
		}
		ours = append(ours, time.Since(begun))
		begun = time.Now()
		for _, paused := range []bool{true, false} {
			if err := d.pauseByEngine(b.Context(), i.container.id, paused); err != nil {
				b.Fatal(err)
			}
		}
		theirs = append(theirs, time.Since(begun))
	}
	report(b, ours, theirs, "µs/direct", "µs/engine", time.Microsecond)
}

// BenchmarkStop is the end of a sandbox, beside the end of its container alone.
func BenchmarkStop(b *testing.B) {
	d, backend := opened(b, bareConfig(b, networkNone))
	var ours, theirs []time.Duration
	for b.Loop() {
		b.StopTimer()
		s, _ := started(b, backend, sandbox.Spec{ID: "bench"})
		b.StartTimer()
		begun := time.Now()
		if err := s.Stop(b.Context(), 0); err != nil {
			b.Fatal(err)
		}
		ours = append(ours, time.Since(begun))
		b.StopTimer()
		_, i := started(b, backend, sandbox.Spec{ID: "bench"})
		b.StartTimer()
		begun = time.Now()
		if err := d.engine.ContainerRemove(b.Context(), i.container.id, container.RemoveOptions{Force: true}); err != nil {
			b.Fatal(err)
		}
		theirs = append(theirs, time.Since(begun))
		if err := backend.Remove(b.Context(), "bench", backends.AnyEpoch, 0); err != nil {
			b.Fatal(err)
		}
	}
	report(b, ours, theirs, "ms/sandbox", "ms/container", time.Millisecond)
}

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}

func ratio(ours, theirs []time.Duration) float64 {
	return float64(median(ours)) / float64(median(theirs))
}

func report(b *testing.B, ours, theirs []time.Duration, us, them string, unit time.Duration) {
	b.ReportMetric(float64(median(ours))/float64(unit), us)
	b.ReportMetric(float64(median(theirs))/float64(unit), them)
	b.ReportMetric(0, "ns/op")
}
