package bench

import (
	"slices"
	"time"

	"github.com/sandtree/sandtree/bench/result"
	"github.com/sandtree/sandtree/bench/target"
)

// phases are those of many starts, in the order in which they were first seen.
type phases struct {
	names []string
	took  map[string][]float64
}

func (p *phases) add(rt target.Runtime, begun time.Time, ready, took time.Duration) {
	known := time.Duration(0)
	if phased, ok := rt.(target.Phased); ok {
		for _, x := range phased.Phases(begun) {
			p.one(x.Name, x.Took)
			known += x.Took
		}
	}
	if known > ready { // it was started by the command, as one is that rested
		ready = known
	}
	p.one("between", max(0, ready-known))
	p.one("first command", max(0, took-ready))
}

func (p *phases) one(name string, took time.Duration) {
	if p.took == nil {
		p.took = map[string][]float64{}
	}
	if !slices.Contains(p.names, name) {
		p.names = append(p.names, name)
	}
	p.took[name] = append(p.took[name], float64(took))
}

func (p *phases) medians() (all []result.Phase) {
	for _, name := range p.names {
		all = append(all, result.Phase{Name: name, Median: int64(result.Median(p.took[name]))})
	}
	return all
}
