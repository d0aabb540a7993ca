// Package bench measures what runs sandboxes: scenarios, which are data, against a target, beside the bare machine.
//
// Three ideas carry it. A set of scenarios is a TOML file; what a kind of scenario does is a function here. Every figure is
// measured in rounds, each with its own median, so that a report states its noise; and beside it, in turn, the floor: the
// least that the same work costs on this machine, so that a figure is also a ratio, which means the same elsewhere. And
// nothing is hidden: raw samples are kept, what a target cannot do is said, so is what disturbed the run.
//
// What is measured is in package target, what was found in package result. Everything a run starts it ends.
package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sandtree/sandtree/bench/result"
	"github.com/sandtree/sandtree/bench/target"
	"github.com/sandtree/sandtree/sandbox"
)

// Config says what is measured. Set and Target are needed.
type Config struct {
	Set    Set
	Only   []string // names of scenarios; none is all
	Target target.Target
	// Program is a command line that calls Part with the arguments that are appended: for what must be a process of its own. None
	// has no floor that is a server, and no scenario that kills the controller.
	Program  []string
	Version  string // of this program
	Runtimes int    // overrides that of scenarios, other than those of one
	Rounds   int    // overrides that of all scenarios, whose limits grow with it
	Listener Listener
}

// A Listener hears how a run goes, one call at a time. It must not wait.
type Listener interface{ Hear(Event) }

// An Event is a step of a run.
type Event struct {
	Scenario string
	Title    string
	Index    int              // of the scenario, from 0
	Of       int              // scenarios in all
	Done     float64          // of this scenario, 0 to 1
	Text     string           // what is known by now, for people
	Result   *result.Scenario // when it has ended, else nil
}

// Run measures. The report is good also when there is an error, as far as it goes: the scenario that ctx ended says so, and
// those after it are not in it. Codes: Invalid, NotFound (a scenario of Only), Canceled; those of a target that is there already and does
// not answer.
func Run(ctx context.Context, c Config) (report result.Report, err error) {
	scenarios, err := c.scenarios()
	if err != nil {
		return report, err
	}
	if err := reach(ctx, c.Target); err != nil {
		return report, err
	}
	about := c.Target.About()
	report = result.Report{
		Schema: result.Schema, Name: c.Set.Name, Began: time.Now().UTC(), Program: program(c.Version), Machine: machine(),
		Target: result.Target{Name: about.Name, Kind: about.Kind, Settings: about.Settings},
	}
	watch := watchMachine()
	f := newFloors(c.Program)
	defer func() { err = errors.Join(err, f.close()) }()
	report.Scenarios = c.playAll(ctx, scenarios, f, watch.look)
	if ctx.Err() != nil {
		err = &sandbox.Error{Code: sandbox.Canceled, Op: "bench", Err: context.Cause(ctx)}
	}
	report.Floors = f.series()
	report.Disturbed = append(watch.findings(), f.drift()...)
	if ctx.Err() != nil {
		report.Disturbed = append(report.Disturbed, interruptedRun(report.Scenarios, len(scenarios)))
	}
	report.Took = int64(time.Since(report.Began))
	return report, err
}

// reach tries a target that is there already: one that cannot be reached is told once, and not by every scenario, each after its patience.
func reach(ctx context.Context, t target.Target) error {
	if _, ok := t.(target.Standing); !ok {
		return nil
	}
	rt, err := t.Start(ctx, target.Wish{})
	if err != nil {
		return err
	}
	_, err = rt.Run(ctx, "true")
	return errors.Join(err, rt.Stop(ctx))
}

// interruptedRun says how much of a run there is. Since rounds are played in passes over all scenarios, those that did not
// fail may not be whole.
func interruptedRun(played []result.Scenario, of int) string {
	whole := 0
	for _, s := range played {
		if s.Failed == "" {
			whole++
		}
	}
	return fmt.Sprintf("it was interrupted: %d of %d scenarios ended early or were not begun, and the others may lack some of their rounds", of-whole, of)
}

// scenarios are those that are asked for.
func (c Config) scenarios() ([]Scenario, error) {
	set, err := c.Set.Only(c.Only)
	if err != nil {
		return nil, err
	}
	var all []Scenario
	if c.Rounds < 0 || c.Runtimes < 0 || c.Rounds > 100_000 {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "bench", Err: errors.New("rounds and runtimes are numbers from 1 on")}
	}
	for _, s := range set.Scenarios {
		if c.Runtimes > 0 && s.Runtimes > 1 {
			s.Runtimes = c.Runtimes
		}
		if c.Rounds > 0 {
			s.Limit = max(s.Limit, s.Limit*Duration(c.Rounds)/Duration(s.Rounds))
			s.Rounds = c.Rounds
		}
		if rules, ok := s.ThresholdsFor[c.Target.About().Name]; ok {
			s.Thresholds = rules
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "bench", Err: errors.New("there is no scenario to play")}
	}
	return all, nil
}

// A kind of scenario.
type kind struct {
	keys  []string // that it takes, of those that not all take
	check func(*Scenario) error
	play  func(ctx context.Context, s *scene) error
}

// kinds are all of them, by name. They are functions, since what they do asks for them again.
func kinds() map[string]func() kind {
	return map[string]func() kind{
		"startup": startup, "latency": latency, "throughput": throughput, "density": density, "recovery": recovery,
		"connections": connections, "overload": overload,
	}
}

// Kinds names them.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds())) }
