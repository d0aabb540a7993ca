package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandtree/sandtree/bench/result"
	"github.com/sandtree/sandtree/bench/target"
	"github.com/sandtree/sandtree/sandbox"
)

// connections holds many streams of the output of runtimes, one or several, each over a connection of its own: all must hear of what goes on.
func connections() kind {
	return kind{
		keys: []string{"streams", "runtimes", "duration"},
		check: func(s *Scenario) error {
			if s.Streams == 0 {
				return errors.New("it needs streams: how many are held")
			}
			if s.Duration == 0 {
				s.Duration = Duration(3 * time.Second)
			}
			return nil
		},
		play: playConnections,
	}
}

// ticking prints a number five times a second.
const ticking = "for ((i = 0; ; i++)); do echo $i; sleep 0.2; done"

var errEnded = errors.New("the command ended")

// A listener is one stream.
type listener struct {
	heard atomic.Int64 // how often
	first atomic.Int64 // when, since it began; 0 if never
	ended atomic.Bool  // before it should
}

func playConnections(ctx context.Context, s *scene) error {
	if files := raiseFiles(); files < uint64(s.Streams)+200 {
		return &sandbox.Error{Code: sandbox.Unsupported, Op: s.Name,
			Err: fmt.Errorf("this process may have %d descriptors, which are too few; see ulimit -n", files)}
	}
	rts, err := s.startMany(ctx, s.target, s.Runtimes)
	if err != nil {
		return err
	}
	var listens []target.Listen
	for _, rt := range rts {
		broadcaster, err := ability[target.Broadcaster](s, rt, "has no output that several can listen to")
		if err != nil {
			return err
		}
		listen, stop, err := broadcaster.Broadcast(ctx, ticking)
		if err != nil {
			return err
		}
		s.cleanup(stop)
		listens = append(listens, listen)
	}
	return s.hold(ctx, listens)
}

// hold opens the streams, listens, and notes what came of it.
func (s *scene) hold(ctx context.Context, listens []target.Listen) error {
	own, theirs := live(), s.using(ctx).memory
	all := make([]listener, s.Streams)
	held, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	var broken atomic.Int64
	var why atomic.Pointer[error] // of one of thousands
	s.join(held, listens, all, &wg, func(l *listener, err error) {
		l.ended.Store(true)
		broken.Add(1)
		why.Store(&err)
	})
	s.put("streams", "1", "more", 0, float64(s.hearing(ctx, all)))
	for i := range all {
		if first := all[i].first.Load(); first > 0 {
			s.put("first output", "ns", "less", 0, float64(first))
		}
	}
	if own > 0 {
		s.put("memory here per connection", "bytes", "less", 0, max(0, float64(live()-own))/float64(s.Streams))
	}
	if now := s.using(ctx).memory; theirs > 0 && now > 0 {
		s.put("memory there per connection", "bytes", "less", 0, max(0, float64(now-theirs))/float64(s.Streams))
	}
	err := s.progress(ctx, all)
	s.count("broken", broken.Load())
	if err == nil && broken.Load() == int64(s.Streams) {
		err = fmt.Errorf("none of them held: %w", *why.Load())
	}
	return err
}

// joining is how many streams are opened at a time.
const joining = 64

// join opens the streams, a few at a time: each makes room for the next when it has heard something, or ended.
func (s *scene) join(ctx context.Context, listens []target.Listen, all []listener, wg *sync.WaitGroup, broken func(*listener, error)) {
	slots := make(chan struct{}, joining)
	for i := range all {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		l := &all[i]
		wg.Go(func() {
			free := sync.OnceFunc(func() { <-slots })
			defer free()
			begun := time.Now()
			err := listens[i%len(listens)](ctx, func([]byte) {
				l.first.CompareAndSwap(0, int64(time.Since(begun)))
				l.heard.Add(1)
				free()
			})
			if ctx.Err() == nil {
				broken(l, cmp.Or(err, errEnded))
			}
		})
		if i%joining == 0 {
			s.tell(0.5*float64(i)/float64(len(all)), fmt.Sprintf("%d streams", i))
		}
	}
}

// hearing waits until all have heard something, or the limit is over, and tells how many have.
func (s *scene) hearing(ctx context.Context, all []listener) (n int) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		n = 0
		for i := range all {
			if all[i].heard.Load() > 0 {
				n++
			}
		}
		if n == len(all) || s.late() {
			return n
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return n
		}
	}
}

// progress listens for a while: a stream that hears nothing meanwhile is stalled.
func (s *scene) progress(ctx context.Context, all []listener) error {
	before := make([]int64, len(all))
	for i := range all {
		before[i] = all[i].heard.Load()
	}
	begun := time.Now()
	for at := time.Duration(0); at < time.Duration(s.Duration); at = time.Since(begun) {
		select {
		case <-time.After(min(time.Second, time.Duration(s.Duration)-at)):
		case <-ctx.Done():
			return ctx.Err()
		}
		sum := int64(0)
		for i := range all {
			sum += all[i].heard.Load() - before[i]
		}
		rate := float64(sum) / time.Since(begun).Seconds()
		s.out.Timeline = append(s.out.Timeline, result.Point{At: int64(time.Since(s.began)), Figures: map[string]float64{"throughput": rate}})
		s.tell(0.5+0.5*float64(time.Since(begun))/float64(s.Duration), result.Figure(rate, "1/s")+" heard")
	}
	stalled, going := int64(0), int64(0)
	for i := range all {
		switch still := all[i].heard.Load() > before[i]; {
		case !still:
			stalled++
		case !all[i].ended.Load():
			going++
		}
	}
	s.count("streams", going) // that are held, and go on
	s.count("stalled", stalled)
	return nil
}
