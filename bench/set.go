package bench

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/sandtree/sandtree/sandbox"
)

// A Set is a list of scenarios, as a TOML file has it.
type Set struct {
	Name      string     `toml:"name"`
	Title     string     `toml:"title"`
	Scenarios []Scenario `toml:"scenario"`
}

// A Scenario says what is measured. What its kind does not use must be left out; zero is the kind's default.
type Scenario struct {
	Name  string `toml:"name"`  // unique in the set
	Kind  string `toml:"kind"`  // "startup", "latency", "throughput", "density", "recovery", "connections", "overload"
	Title string `toml:"title"` // for people

	From  string `toml:"from"`  // startup: what it starts from: "cold", "warm", "attach", "pause", "halt", "restore", "fork"
	Op    string `toml:"op"`    // what is done: see Ops
	Mode  string `toml:"mode"`  // throughput: "closed", "open", "ramp", "burst"
	Piece string `toml:"piece"` // recovery: what is killed: "server", "sandbox", "connection", "controller"

	Rounds  int `toml:"rounds"`  // of which each has its own median; default 5
	Samples int `toml:"samples"` // of a round
	Warmup  int `toml:"warmup"`  // that are thrown away first; default a tenth of the samples, at least one

	Clients  int     `toml:"clients"`  // that ask at the same time, of each runtime
	Runtimes int     `toml:"runtimes"` // at the same time; of density: at most
	Rate     float64 `toml:"rate"`     // throughput, open: operations per second in all; burst: operations of a burst
	Factor   float64 `toml:"factor"`   // overload: how many times over its capacity it is asked
	Queue    int     `toml:"queue"`    // overload: commands that may wait at the runtime
	Streams  int     `toml:"streams"`  // connections: that are held

	Duration Duration `toml:"duration"` // of a round, where that is not a number of samples
	Limit    Duration `toml:"limit"`    // of the whole scenario, after which it goes with what it has; default 1 minute

	Thresholds    []string            `toml:"thresholds"`     // see ParseRule
	ThresholdsFor map[string][]string `toml:"thresholds_for"` // by the name of a target, instead of Thresholds
}

// Only is the set with the scenarios of these names alone; of none, the whole. Code: NotFound.
func (s Set) Only(names []string) (Set, error) {
	if len(names) == 0 {
		return s, nil
	}
	named := func(name string) bool {
		return slices.ContainsFunc(s.Scenarios, func(sc Scenario) bool { return sc.Name == name })
	}
	for _, name := range names {
		if !named(name) {
			return Set{}, &sandbox.Error{Code: sandbox.NotFound, Op: "scenario", Err: fmt.Errorf("the set %s has none of the name %q; see --list", s.Name, name)}
		}
	}
	s.Scenarios = slices.DeleteFunc(slices.Clone(s.Scenarios), func(sc Scenario) bool { return !slices.Contains(names, sc.Name) })
	return s, nil
}

// Duration is a time as TOML has it: "3s", "1m30s".
type Duration time.Duration

// UnmarshalText reads one, which must be positive.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil || v <= 0 {
		return fmt.Errorf("want a time such as \"3s\" or \"1m30s\", have %q", b)
	}
	*d = Duration(v)
	return nil
}

func (d Duration) String() string { return time.Duration(d).String() }

//go:embed scenarios/*.toml
var builtin embed.FS

// Sets names the sets that come with the program.
func Sets() []string {
	files, _ := fs.Glob(builtin, "scenarios/*.toml") // the pattern is good
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".toml")
	}
	return files
}

// Load gives a set by its name, or by the path of a file that ends in .toml. Codes: NotFound, Invalid.
func Load(name string) (Set, error) {
	var content []byte
	var err error
	if strings.HasSuffix(name, ".toml") {
		content, err = os.ReadFile(name)
	} else {
		content, err = builtin.ReadFile("scenarios/" + name + ".toml")
		if err != nil {
			err = fmt.Errorf("there is none; there are %s, and files whose names end in .toml", strings.Join(Sets(), ", "))
		}
	}
	if err != nil {
		return Set{}, &sandbox.Error{Code: sandbox.NotFound, Op: "set " + name, Err: err}
	}
	return Parse(name, content)
}

// Parse reads a set. name is told in errors. Code: Invalid, with the line or the scenario.
func Parse(name string, content []byte) (Set, error) {
	invalid := func(err error) (Set, error) {
		return Set{}, &sandbox.Error{Code: sandbox.Invalid, Op: "set " + name, Err: err}
	}
	var s Set
	decoder := toml.NewDecoder(bytes.NewReader(content)).DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return invalid(where(err))
	}
	if s.Name == "" {
		s.Name = strings.TrimSuffix(filepath.Base(name), ".toml")
	}
	if len(s.Scenarios) == 0 {
		return invalid(errors.New("it has no [[scenario]]"))
	}
	seen := map[string]bool{}
	for i := range s.Scenarios {
		sc := &s.Scenarios[i]
		if err := sc.settle(); err != nil {
			return invalid(fmt.Errorf("scenario %d, %q: %w", i+1, sc.Name, err))
		}
		if seen[sc.Name] {
			return invalid(fmt.Errorf("scenario %d: there is another %q", i+1, sc.Name))
		}
		seen[sc.Name] = true
	}
	return s, nil
}

// where says at which line the file is wrong.
func where(err error) error {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		var all []error
		for _, e := range strict.Errors {
			row, _ := e.Position()
			all = append(all, fmt.Errorf("line %d: there is no key %q", row, strings.Join(e.Key(), ".")))
		}
		return errors.Join(all...)
	}
	if e, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, column := e.Position()
		return fmt.Errorf("line %d, column %d: %s", row, column, strings.TrimPrefix(e.Error(), "toml: "))
	}
	return err
}

// settle fills in defaults and checks.
func (s *Scenario) settle() error {
	of, ok := kinds()[s.Kind]
	switch {
	case sandbox.ID(s.Name).Check() != nil:
		return errors.New("it needs a name of letters, digits, '-', '_' and '.'")
	case !ok:
		return fmt.Errorf("kind is %q; want one of %s", s.Kind, strings.Join(Kinds(), ", "))
	case short(s.Limit) || short(s.Duration): // TOML's numbers get here as nanoseconds
		return errors.New("a limit or duration is below a millisecond; want a text with its unit, such as \"3s\" or \"1m30s\"")
	case min(s.Rounds, s.Samples, s.Warmup, s.Clients, s.Runtimes, s.Queue, s.Streams) < 0 || s.Rate < 0 || s.Factor < 0:
		return errors.New("a number is negative")
	case max(s.Rounds, s.Clients, s.Runtimes, s.Streams) > 100_000 || max(s.Samples, s.Warmup, s.Queue) > 10_000_000 || s.Rate > 1e7 || s.Factor > 1e6:
		return errors.New("a number is larger than any machine")
	}
	k := of()
	for key, set := range s.given() {
		if set && !slices.Contains(k.keys, key) {
			return fmt.Errorf("kind %q has no use for %q; it takes %s", s.Kind, key, strings.Join(k.keys, ", "))
		}
	}
	s.defaults()
	if err := k.check(s); err != nil {
		return err
	}
	for _, rules := range append(slices.Collect(maps.Values(s.ThresholdsFor)), s.Thresholds) {
		for _, rule := range rules {
			if _, err := ParseRule(rule); err != nil {
				return fmt.Errorf("threshold %q: %w", rule, err)
			}
		}
	}
	return nil
}

// short says whether a time that is given is none that anybody means.
func short(d Duration) bool { return d != 0 && time.Duration(d) < time.Millisecond }

// given says which of the keys that not every kind has are set.
func (s *Scenario) given() map[string]bool {
	return map[string]bool{
		"from": s.From != "", "op": s.Op != "", "mode": s.Mode != "", "piece": s.Piece != "",
		"samples": s.Samples > 0, "warmup": s.Warmup > 0, "clients": s.Clients > 0, "runtimes": s.Runtimes > 0,
		"rate": s.Rate > 0, "factor": s.Factor > 0, "queue": s.Queue > 0, "streams": s.Streams > 0, "duration": s.Duration > 0,
	}
}

func (s *Scenario) defaults() {
	fill := func(n *int, usual int) {
		if *n == 0 {
			*n = usual
		}
	}
	fill(&s.Rounds, 5)
	fill(&s.Samples, 20)
	fill(&s.Warmup, max(1, s.Samples/10))
	fill(&s.Clients, 1)
	fill(&s.Runtimes, 1)
	if s.Limit == 0 {
		s.Limit = Duration(time.Minute)
	}
	if s.Title == "" {
		s.Title = s.Name
	}
}

// oneOf checks a word.
func oneOf(key, have string, want ...string) error {
	if slices.Contains(want, have) {
		return nil
	}
	return fmt.Errorf("%s is %q; want one of %s", key, have, strings.Join(want, ", "))
}
