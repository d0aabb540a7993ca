// Package breaker keeps a caller from asking, again and again, what has just failed to answer. A breaker is closed
// while calls succeed; after some failures in a row it trips and is open, and refuses calls without trying; after a
// cooldown it is half-open and lets one call through as a trial, which closes it or opens it again.
//
//	         Failures in a row                 Cooldown over
//	closed ───────────────────► open ◄────────────────────────► half-open
//	   ▲                                  the trial fails           │
//	   └────────────────────────────────────────────────────────────┘
//	                        the trial succeeds
//
// The counting is sony/gobreaker's. This package adds what a supervisor needs: changes are reported outside every
// lock and in order (gobreaker calls back under its own, where asking for the state would deadlock), and a refused
// caller can learn when to come again. What a failure is, the caller says; the package knows nothing of what is called.
package breaker

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// ErrOpen is returned by Do for a call that was refused.
var ErrOpen = errors.New("circuit breaker is open")

// errPanic stands for a panic while gobreaker counts it: it would make an error of it that Failed has never seen.
var errPanic = errors.New("panic")

// State is what a breaker does with calls.
type State int

// The states.
const (
	Closed   State = State(gobreaker.StateClosed)
	HalfOpen State = State(gobreaker.StateHalfOpen)
	Open     State = State(gobreaker.StateOpen)
)

// String is "closed", "half-open" or "open".
func (s State) String() string { return gobreaker.State(s).String() }

// Config says when a breaker trips and recovers. The zero Config is a useful one.
type Config struct {
	Name     string        // for those who report
	Failures uint32        // in a row, that trip it; 0 means 5
	Cooldown time.Duration // from tripping to the trial; 0 means 1 s
	// Failed says whether the error of a call counts as a failure, any other as a success; nil means that each does.
	Failed func(error) bool
	// Ignored says whether a call with this error says nothing either way; asked before Failed; nil means none does.
	Ignored func(error) bool
	// OnChange hears of each change, one at a time and in order, on the goroutine of one of those who call the
	// breaker. It may call the breaker. A change from open to half-open happens when somebody asks after the cooldown.
	OnChange func(from, to State)
}

const (
	defaultFailures = 5           // a restart or a lost packet costs one or two, a dead peer any number
	defaultCooldown = time.Second // as long as a person does not mind waiting, and a thousand times a refused connection
)

// Breaker is one circuit breaker. Safe for concurrent use.
type Breaker struct {
	gate     *gobreaker.CircuitBreaker[struct{}]
	cooldown time.Duration
	onChange func(from, to State)

	noted atomic.Bool // there may be changes to report: spares the closed breaker a lock

	mu        sync.Mutex // taken under gobreaker's lock, so nothing of gobreaker is called while it is held
	next      time.Time  // when it is open: the time of the trial
	changes   []change   // not yet reported
	reporting bool       // somebody is in report, and will take what is added
	closed    bool
}

type change struct{ from, to State }

// New makes a closed breaker.
func New(c Config) *Breaker {
	if c.Failures == 0 {
		c.Failures = defaultFailures
	}
	if c.Cooldown <= 0 {
		c.Cooldown = defaultCooldown
	}
	b := &Breaker{cooldown: c.Cooldown, onChange: c.OnChange}
	settings := gobreaker.Settings{
		Name:          c.Name,
		MaxRequests:   1,
		Timeout:       c.Cooldown,
		ReadyToTrip:   func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= c.Failures },
		OnStateChange: b.note,
	}
	if c.Failed != nil {
		settings.IsSuccessful = func(err error) bool { return err != errPanic && (err == nil || !c.Failed(err)) }
	}
	if c.Ignored != nil {
		settings.IsExcluded = func(err error) bool { return err != errPanic && c.Ignored(err) }
	}
	b.gate = gobreaker.NewCircuitBreaker[struct{}](settings)
	return b
}

// Do calls f, or returns ErrOpen without calling it. It returns f's error as it is; a panic of f counts as a failure
// and goes on.
func (b *Breaker) Do(f func() error) error {
	var panicked any
	_, err := b.gate.Execute(func() (_ struct{}, err error) {
		b.report() // a trial may take long, and that it began is news
		defer func() {
			if panicked = recover(); panicked != nil {
				err = errPanic
			}
		}()
		return struct{}{}, f()
	})
	b.report()
	switch err {
	case gobreaker.ErrOpenState, gobreaker.ErrTooManyRequests:
		return ErrOpen
	case errPanic:
		panic(panicked)
	}
	return err
}

// State is the state at this moment.
func (b *Breaker) State() State {
	defer b.report()
	return State(b.gate.State())
}

// Next is the time from which a refused call may be let through; the zero time if the breaker is not open.
func (b *Breaker) Next() time.Time {
	if b.State() != Open {
		return time.Time{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.next
}

// Close ends the reports: no call of OnChange begins after it, though one may be in progress. Calls of Do go on.
// Idempotent.
func (b *Breaker) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.changes = true, nil
}

// note is called by gobreaker, under its lock: that gives the order, and forbids everything else.
func (b *Breaker) note(_ string, from, to gobreaker.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if to == gobreaker.StateOpen {
		b.next = time.Now().Add(b.cooldown + 1) // gobreaker wants the cooldown to be over, not just reached
	}
	if b.onChange != nil && !b.closed {
		b.changes = append(b.changes, change{State(from), State(to)})
		b.noted.Store(true)
	}
}

// report delivers what was noted, unless somebody is at it already.
func (b *Breaker) report() {
	if !b.noted.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reporting {
		return
	}
	b.noted.Store(false) // whoever adds to changes sets it again, and the loop below takes it anyway
	b.reporting = true
	defer func() { b.reporting = false }() // also when OnChange panics; the lock is held again by then
	for len(b.changes) > 0 {
		c := b.changes[0]
		b.changes = b.changes[1:]
		b.deliverLocked(c)
	}
}

// deliverLocked lets go of the lock for as long as OnChange runs.
func (b *Breaker) deliverLocked(c change) {
	b.mu.Unlock()
	defer b.mu.Lock()
	b.onChange(c.from, c.to)
}
