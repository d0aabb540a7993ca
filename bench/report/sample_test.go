package report

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/sandtree/sandtree/bench/result"
)

// sample is a report as a run makes it, of made-up figures that lie as real ones do: a body that is nearly log-normal, a
// tail, and rounds that differ. It is the same each time.
func sample() *result.Report {
	g := &generator{rand.New(rand.NewPCG(1, 2))}
	r := &result.Report{
		Schema: result.Schema, Name: "quick", Began: time.Date(2026, 11, 27, 16, 0, 0, 0, time.UTC), Took: int64(154 * time.Second),
		Program: result.Program{Version: "v0.5.0", Commit: "c513e7b0f3a1c2d4e5f60718293a4b5c6d7e8f90", Go: "go1.26.0"},
		Machine: result.Machine{Hostname: "bench-1", OS: "Debian GNU/Linux 13 (trixie)", Kernel: "6.12.48", CPU: "AMD EPYC 7763 64-Core Processor",
			Cores: 2, Memory: 25 << 30, Load: 0.12},
		Target: result.Target{Name: "jail", Kind: "backend", Settings: map[string]string{"memory": "2 GB", "cpu": "1.0"}},
		Floors: []result.Series{g.series("pipe round trip", "ns", 36e3, 0.12, 3, 2000), g.series("fork and exec", "ns", 690e3, 0.1, 3, 200),
			g.series("loopback HTTP", "ns", 24e3, 0.15, 3, 2000)},
		Disturbed: []string{"another process took 18 % of the CPU during latency-echo"},
	}
	r.Scenarios = append(r.Scenarios, g.startup("startup-cold", "Cold start to the first observation", 23.7e6), g.startup("startup-warm", "Claim of a warm sandbox", 4.7e6),
		g.startup("startup-attach", "Attach after the controller was killed", 9.2e6))
	for _, l := range []struct {
		name, title string
		at          float64
		floor       string
	}{
		{"latency-true", "true in a session", 312e3, "pipe round trip"}, {"latency-exec", "/bin/true as a program", 890e3, "fork and exec"},
		{"latency-output-1mb", "1 MB of output", 4.9e6, ""}, {"latency-python", "A Python cell", 7.1e6, "loopback HTTP"},
		{"latency-write-10kb", "Write a file of 10 KB", 240e3, "loopback HTTP"},
	} {
		r.Scenarios = append(r.Scenarios, g.latency(l.name, l.title, l.at, l.floor))
	}
	r.Scenarios = append(r.Scenarios, g.throughput(), g.density(), g.recovery(),
		result.Scenario{Name: "startup-restore", Kind: "startup", Title: "Restore from a snapshot", Unsupported: "the target keeps no snapshots"},
		result.Scenario{Name: "overload", Kind: "overload", Title: "Twice what it can do", Failed: "dial unix /run/sandbox.sock: connect: connection refused",
			Series: []result.Series{g.series("latency", "ns", 40e6, 0.4, 1, 30)}, Counts: map[string]int64{"served": 812, "refused": 391, "lost": 0}})
	return r
}

type generator struct{ *rand.Rand }

// value is one sample about the middle, of a log-normal body, with a tail on one in thirty.
func (g *generator) value(middle, sigma float64) float64 {
	v := middle * math.Exp(sigma*g.NormFloat64())
	if g.IntN(30) == 0 {
		v *= 1 + 2*g.ExpFloat64()
	}
	return v
}

func (g *generator) series(name, unit string, middle, sigma float64, rounds, n int) result.Series {
	s := result.Series{Name: name, Unit: unit, Better: "less"}
	for range rounds {
		round := make([]float64, n)
		shift := math.Exp(0.03 * g.NormFloat64())
		for i := range round {
			round[i] = g.value(middle*shift, sigma)
		}
		s.Rounds = append(s.Rounds, round)
	}
	s.Summary = result.Summarize(s.Rounds)
	return s
}

func (g *generator) startup(name, title string, at float64) result.Scenario {
	s := result.Scenario{Name: name, Kind: "startup", Title: title, Settings: map[string]string{"rounds": "5", "samples": "6"},
		Series: []result.Series{g.series("start", "ns", at, 0.08, 5, 6)}}
	for i, share := range []float64{0.06, 0.31, 0.17, 0.36, 0.10} {
		s.Phases = append(s.Phases, result.Phase{Name: []string{"admission", "place", "connect", "shell", "first action"}[i], Median: int64(share * at)})
	}
	s.Verdicts = []result.Verdict{{Rule: "p99 < 30s", Found: s.Series[0].Summary.P99, Unit: "ns", Held: true, Source: "OpenHands target R195"},
		{Rule: "p50 < 20ms", Found: s.Series[0].Summary.P50, Unit: "ns", Held: at < 20e6, Source: "sandtree"}}
	return s
}

func (g *generator) latency(name, title string, at float64, floor string) result.Scenario {
	x := g.series("latency", "ns", at, 0.11, 5, 600)
	if floor != "" {
		x.Ratios = []float64{0.95 * at, at, at, at, 1.08 * at}
		for i := range x.Ratios {
			x.Ratios[i] /= map[string]float64{"pipe round trip": 36e3, "fork and exec": 690e3, "loopback HTTP": 24e3}[floor]
		}
		x.Floor, x.Ratio = floor, at/map[string]float64{"pipe round trip": 36e3, "fork and exec": 690e3, "loopback HTTP": 24e3}[floor]
	}
	return result.Scenario{Name: name, Kind: "latency", Title: title, Series: []result.Series{x}, Settings: map[string]string{"clients": "1", "samples": "600"},
		Verdicts: []result.Verdict{{Rule: "mean < 1000ms", Found: x.Summary.Mean, Unit: "ns", Held: true, Source: "OpenHands target R196"}}}
}

func (g *generator) throughput() result.Scenario {
	s := result.Scenario{Name: "throughput-sustained", Kind: "throughput", Title: "Eight clients on one runtime each", Settings: map[string]string{"clients": "8"},
		Series: []result.Series{g.series("throughput", "1/s", 3120, 0.02, 5, 1), g.series("latency", "ns", 2.5e6, 0.3, 5, 4000),
			g.series("cpu", "percent", 71, 0.05, 5, 4)}, Counts: map[string]int64{"served": 31200, "errors": 0}}
	s.Series[0].Better = "more"
	for i := range 60 {
		s.Timeline = append(s.Timeline, result.Point{At: int64(i) * int64(time.Second) / 2, Figures: map[string]float64{
			"throughput": 3120 * (1 + 0.04*g.NormFloat64()) * (1 - 0.5*math.Exp(-float64(i)/2)), "latency": 2.5e6 * (1 + 0.1*g.NormFloat64()), "cpu": 71 + 3*g.NormFloat64()}})
	}
	return s
}

func (g *generator) density() result.Scenario {
	s := result.Scenario{Name: "density", Kind: "density", Title: "Runtimes until two gigabytes", Series: []result.Series{
		g.series("memory per runtime", "bytes", 2.9e6, 0.03, 3, 4), g.series("memory of the controller", "bytes", 31e6, 0.02, 3, 4)}}
	for i := range 40 {
		s.Timeline = append(s.Timeline, result.Point{At: int64(i) * int64(200*time.Millisecond), Figures: map[string]float64{"runtimes": float64(10 * i), "memory": float64(i) * 29e6}})
	}
	return s
}

func (g *generator) recovery() result.Scenario {
	x := g.series("time to READY", "ns", 38e6, 0.2, 5, 4)
	return result.Scenario{Name: "recovery-kill-server", Kind: "recovery", Title: "The sandbox server is killed", Series: []result.Series{x},
		Counts: map[string]int64{"lost": 0, "repeated": 0}, Verdicts: []result.Verdict{{Rule: "lost == 0", Unit: "1", Held: true, Source: "sandtree"},
			{Rule: "repeated == 0", Unit: "1", Held: true, Source: "sandtree"}}}
}
