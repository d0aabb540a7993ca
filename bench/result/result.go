// Package result is what a run of the bench harness found: what its reports, comparisons and thresholds are made of, and
// what stands in the JSON file that is kept of it.
//
// Times are nanoseconds in samples and seconds nowhere; sizes are bytes; rates are per second. Every figure says its unit
// in Series.Unit. Raw samples are kept: a summary can be made of them, never the other way round.
package result

import "time"

// Schema is the version of the JSON form. A file of a newer one is refused.
const Schema = 1

// A Report is one run: a machine, what was measured on it, and how it went.
type Report struct {
	Schema    int        `json:"schema"`
	Name      string     `json:"name"` // of the set of scenarios, as "quick"
	Began     time.Time  `json:"began"`
	Took      int64      `json:"took_ns"`
	Program   Program    `json:"program"`
	Machine   Machine    `json:"machine"`
	Target    Target     `json:"target"` // what was measured
	Floors    []Series   `json:"floors"` // of the bare machine, measured in the same run
	Scenarios []Scenario `json:"scenarios"`
	// Disturbed says, a sentence each, what else the machine did meanwhile; empty is a quiet run.
	Disturbed []string `json:"disturbed,omitempty"`
}

// A Program is what measured.
type Program struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Dirty   bool   `json:"dirty,omitempty"`
	Go      string `json:"go"`
}

// A Machine is where.
type Machine struct {
	Hostname string  `json:"hostname"`
	OS       string  `json:"os"`     // as PRETTY_NAME of os-release(5)
	Kernel   string  `json:"kernel"` // as uname -r
	CPU      string  `json:"cpu"`
	Cores    int     `json:"cores"`
	Memory   int64   `json:"memory_bytes"`
	Load     float64 `json:"load"` // of one minute, when the run began
}

// A Target is a system that was measured: a backend of ours, or a peer.
type Target struct {
	Name string `json:"name"` // as "jail", "docker exec", "openhands"
	Kind string `json:"kind"` // "backend", "exec", "docker", "openhands", "command"
	// Settings are what it was started with, without secrets.
	Settings map[string]string `json:"settings,omitempty"`
}

// A Scenario is one thing that was measured, and what came of it.
type Scenario struct {
	Name  string `json:"name"`  // of its table in the TOML file, as "latency-true"
	Kind  string `json:"kind"`  // "startup", "latency", "throughput", "density", "recovery", "connections", "overload"
	Title string `json:"title"` // for people
	// Settings are the scenario's as it was run: clients, rate, samples, rounds, …
	Settings map[string]string `json:"settings,omitempty"`
	// Series are its measurements. The first is the one that stands for the scenario.
	Series []Series `json:"series"`
	// Counts are what must be exact, as "lost", "repeated", "refused", "served", "errors".
	Counts map[string]int64 `json:"counts,omitempty"`
	// Timeline is how it went over time, one point a step; nil where that says nothing.
	Timeline []Point `json:"timeline,omitempty"`
	// Phases break one start down, in order; of each the median. Empty where there are none.
	Phases []Phase `json:"phases,omitempty"`
	// Verdicts are the thresholds that were asked of it.
	Verdicts []Verdict `json:"verdicts,omitempty"`
	// Unsupported says why the target cannot do it; nothing else is set then.
	Unsupported string `json:"unsupported,omitempty"`
	// Failed says what ended it early; what was measured until then is there.
	Failed string `json:"failed,omitempty"`
}

// A Series is one quantity, measured many times.
type Series struct {
	Name string `json:"name"` // as "latency", "start", "memory per runtime"
	Unit string `json:"unit"` // "ns", "bytes", "1/s", "percent", "1"
	// Better is "less" or "more".
	Better string `json:"better"`
	// Rounds are the samples, by round, in the order in which they were taken.
	Rounds [][]float64 `json:"rounds"`
	// Summary is of all rounds; see Summarize.
	Summary Summary `json:"summary"`
	// Floor names the floor that it is compared with, and Ratio is the median of the rounds' ratios to it; 0 is none.
	Floor string  `json:"floor,omitempty"`
	Ratio float64 `json:"ratio,omitempty"`
	// Ratios are those of the rounds that have one, in order.
	Ratios []float64 `json:"ratios,omitempty"`
}

// A Summary is the distribution of samples.
type Summary struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	Min   float64 `json:"min"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p99_9"`
	Max   float64 `json:"max"`
	// Medians are those of the rounds: least, middle and greatest. Their spread is the noise of the run.
	Medians [3]float64 `json:"medians"`
}

// A Point is a step of a timeline.
type Point struct {
	At      int64              `json:"at_ns"` // since the scenario's start
	Figures map[string]float64 `json:"figures"`
}

// A Phase is a part of a start.
type Phase struct {
	Name   string `json:"name"`
	Median int64  `json:"median_ns"`
}

// A Verdict is a threshold and whether it held.
type Verdict struct {
	Rule  string  `json:"rule"` // as "p99 < 5ms", "ratio <= 2", "lost == 0"
	Found float64 `json:"found"`
	Unit  string  `json:"unit"`
	Held  bool    `json:"held"`
	// Source is where the rule comes from: "OpenHands target R196" or "sandtree".
	Source string `json:"source,omitempty"`
}
