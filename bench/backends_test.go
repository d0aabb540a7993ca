package bench_test

import (
	"context"
	"os"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/docker"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/bench"
	"github.com/sandtree/sandtree/bench/target"
	"github.com/sandtree/sandtree/testing/dockerd"
	"github.com/sandtree/sandtree/testing/need"
)

// few is what differs between backends: how they start, which process is killed, and whose memory is counted.
const few = `
[[scenario]]
name = "cold"
kind = "startup"
from = "cold"
rounds = 1
samples = 1
[[scenario]]
name = "pause"
kind = "startup"
from = "pause"
rounds = 1
samples = 1
[[scenario]]
name = "true"
kind = "latency"
op = "true"
rounds = 2
samples = 20
[[scenario]]
name = "density"
kind = "density"
runtimes = 2
thresholds = ["memory per runtime: p50 > 500 kB"]
[[scenario]]
name = "kill-server"
kind = "recovery"
piece = "server"
rounds = 1
samples = 1
[[scenario]]
name = "kill-controller"
kind = "recovery"
piece = "controller"
rounds = 1
samples = 1
`

func TestJail(t *testing.T) {
	need.Jail(t)
	part, sandboxd := program(t)
	play(t, part, "jail", jail.Open, map[string]any{"sandboxd": sandboxd})
}

func TestDocker(t *testing.T) {
	host := dockerd.Host(t)
	dockerd.MakeImages(t, host)
	part, sandboxd := program(t)
	var mounts []any
	for _, m := range dockerd.HostPrograms() {
		mounts = append(mounts, m.Source+":"+m.Target+":ro")
	}
	play(t, part, "docker", docker.Open, map[string]any{"sandboxd": sandboxd, "host": host, "image": dockerd.Skeleton, "pull": "never",
		"network": "none", "mounts": mounts})
}

func play(t *testing.T, part []string, name string, open backends.OpenFunc, values map[string]any) {
	set, err := bench.Parse("few.toml", []byte(few))
	if err != nil {
		t.Fatal(err)
	}
	tg, err := target.Open(t.Context(), target.Config{Backend: name, Driver: open, Environ: os.Environ(), Values: values})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := tg.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	r, err := bench.Run(t.Context(), bench.Config{Set: set, Target: tg, Program: part})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Scenarios {
		check(t, s)
		for _, v := range s.Verdicts {
			if v.Rule == "memory per runtime: p50 > 500 kB" && !v.Held {
				t.Errorf("%s: %+v", s.Name, v)
			}
		}
	}
}
