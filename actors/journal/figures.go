package journal

import (
	"sync/atomic"

	"github.com/sandtree/sandtree/internal/figures"
)

// Figures are what this Journal has done since it was opened.
type Figures struct {
	Commits  *figures.Histogram // nanoseconds that each transaction took, the wait for other processes included
	Records  *figures.Histogram // that each of them brought into the database, of those that brought any
	Logs     *figures.Histogram // nanoseconds that each write to the side file took
	Events   atomic.Uint64      // records in the database
	Failures atomic.Uint64      // transactions that were not committed
}

func newFigures() *Figures {
	return &Figures{Commits: figures.NewHistogram(figures.Durations), Records: figures.NewHistogram(figures.Numbers),
		Logs: figures.NewHistogram(figures.Durations)}
}

// Figures are read as they go on.
func (j *Journal) Figures() *Figures { return j.figures }
