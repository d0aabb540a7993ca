package bench

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandtree/sandtree/bench/target"
)

// A done is one operation that has ended.
type done struct {
	at   time.Duration // when, since the load began
	took time.Duration // since it began, or should have
	err  error
}

// closed has each client do its work again and again until a time is over. What is begun by then is ended.
func closed(ctx context.Context, clients []func(context.Context) error, duration time.Duration) []done {
	begun := time.Now()
	return gather(len(clients), func(i int, put func(done)) {
		for ctx.Err() == nil {
			from := time.Now()
			if from.Sub(begun) >= duration {
				return
			}
			err := clients[i](ctx)
			now := time.Now()
			put(done{now.Sub(begun), now.Sub(from), err})
		}
	})
}

// open has work begin at a fixed rate, whoever is still at work. Clients take turns: where all are at work when the next
// one should begin, it begins late; but its time counts from when it should have, so that a stall of the target is not
// left out because nobody asked meanwhile. That is what is called coordinated omission.
func open(ctx context.Context, clients []func(context.Context) error, rate float64, duration time.Duration) []done {
	begun := time.Now()
	var next atomic.Int64
	return gather(len(clients), func(i int, put func(done)) {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for ctx.Err() == nil {
			due := time.Duration(float64(next.Add(1)-1) / rate * float64(time.Second))
			if due >= duration {
				return
			}
			if wait := due - time.Since(begun); wait > 0 {
				timer.Reset(wait)
				select {
				case <-timer.C:
				case <-ctx.Done():
					return
				}
			}
			err := clients[i](ctx)
			now := time.Since(begun)
			put(done{now, now - due, err})
		}
	})
}

// burst has all clients begin at once, and do their work once.
func burst(ctx context.Context, clients []func(context.Context) error) []done {
	begin := make(chan struct{})
	var ready sync.WaitGroup
	ready.Add(len(clients))
	begun := time.Now()
	go func() {
		ready.Wait()
		begun = time.Now()
		close(begin)
	}()
	return gather(len(clients), func(i int, put func(done)) {
		ready.Done()
		<-begin
		err := clients[i](ctx)
		now := time.Since(begun)
		put(done{now, now, err})
	})
}

// gather runs n workers and gives what all of them put.
func gather(n int, work func(i int, put func(done))) (all []done) {
	each := make([][]done, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { work(i, func(d done) { each[i] = append(each[i], d) }) })
	}
	wg.Wait()
	for _, one := range each {
		all = append(all, one...)
	}
	return all
}

// starting is how many runtimes are started at a time: more only wait for each other.
const starting = 4

// startMany starts runtimes that end with the scene.
func (s *scene) startMany(ctx context.Context, t target.Target, n int) ([]target.Runtime, error) {
	all := make([]target.Runtime, n)
	errs := make([]error, n)
	inParallel(n, starting, func(i int) { all[i], errs[i] = t.Start(ctx, target.Wish{}) })
	s.cleanup(func(ctx context.Context) error { return stopAll(ctx, all) })
	return all, joined(errs)
}

// joined joins errors, of those that say the same the first.
func joined(errs []error) error {
	seen := map[string]bool{}
	return errors.Join(slices.DeleteFunc(errs, func(err error) bool {
		if err == nil || seen[err.Error()] {
			return true
		}
		seen[err.Error()] = true
		return false
	})...)
}

func stopAll(ctx context.Context, all []target.Runtime) error {
	errs := make([]error, len(all))
	inParallel(len(all), 2*starting, func(i int) {
		if all[i] != nil {
			errs[i] = all[i].Stop(ctx)
		}
	})
	return joined(errs)
}

// inParallel calls f with 0 to n-1, some at a time.
func inParallel(n, slots int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, slots) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}
