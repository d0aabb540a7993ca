package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/sandtree/sandtree/bench/target"
)

// recovery kills a piece of a runtime that is at work: how long it is until it answers again, and whether every command was done
// once.
func recovery() kind {
	return kind{
		keys: []string{"piece", "samples"},
		check: func(s *Scenario) error {
			return oneOf("piece", s.Piece, string(target.Server), string(target.Sandbox), string(target.Connection), string(target.Controller))
		},
		play: playRecovery,
	}
}

func playRecovery(ctx context.Context, s *scene) error {
	t := s.target
	if s.Piece == string(target.Connection) || s.Piece == string(target.Controller) {
		var err error
		if t, err = s.vary(ctx, target.Variant{Cuttable: s.Piece == string(target.Connection)}, "has no connection that could be cut here"); err != nil {
			return err
		}
	}
	one := s.kill
	if s.Piece == string(target.Controller) {
		one = s.killController
	}
	for _, name := range []string{"lost", "repeated", "interrupted"} {
		s.count(name, 0)
	}
	for round := range s.Rounds {
		for i := 0; i < s.Samples && !s.late(); i++ {
			if err := one(ctx, t, round); err != nil {
				return err
			}
			s.tell((float64(round)+float64(i+1)/float64(s.Samples))/float64(s.Rounds), s.sofar("recovery", round))
		}
	}
	return nil
}

// busyBefore is how many commands have ended before something is killed, so that it is at work.
const busyBefore = 5

// kill kills a piece while commands are performed, and goes on until one is answered that was asked for after.
func (s *scene) kill(ctx context.Context, t target.Target, round int) error {
	rt, err := t.Start(ctx, target.Wish{})
	if err != nil {
		return err
	}
	defer rt.Stop(context.WithoutCancel(ctx))
	killer, err := ability[target.Killer](s, rt, "has nothing that could be killed here")
	if err != nil {
		return err
	}
	once, err := ability[target.Once](s, rt, "has no commands that run once")
	if err != nil {
		return err
	}
	tally := newTally()
	warm, stop, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { ended <- s.work(ctx, once, tally, warm, stop) }()
	select {
	case <-warm:
	case err := <-ended:
		return err
	}
	begun := time.Now()
	err = killer.Kill(ctx, target.Piece(s.Piece))
	if err == nil {
		err = s.healed(ctx, rt, once, tally, round, begun)
	}
	close(stop)
	if failed := <-ended; err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	return s.compare(ctx, rt, once, tally)
}

// work performs one numbered command after the other, until it is stopped. A command that failed is asked for again under its id.
func (s *scene) work(ctx context.Context, rt target.Once, t *tally, warm, stop chan struct{}) error {
	for i := 1; ; i++ {
		n := t.number()
		for err := t.perform(ctx, rt, n); err != nil; err = t.perform(ctx, rt, n) {
			if i <= busyBefore || !pause(ctx) {
				return err
			}
		}
		if i == busyBefore {
			close(warm)
		}
		select {
		case <-stop:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
	}
}

// between is how long whoever was refused waits before he asks again: what is measured is not to be how fast a target refuses, on the
// processors that it needs to start again.
const between = 5 * time.Millisecond

// pause is false if ctx ends meanwhile.
func pause(ctx context.Context) bool {
	select {
	case <-time.After(between):
		return true
	case <-ctx.Done():
		return false
	}
}

// healed measures how long it is until a command is answered that is asked for now, and when the runtime said to be ready.
func (s *scene) healed(ctx context.Context, rt target.Runtime, once target.Once, t *tally, round int, begun time.Time) error {
	n := t.number()
	for err := t.perform(ctx, once, n); err != nil; err = t.perform(ctx, once, n) {
		if !pause(ctx) {
			return err
		}
	}
	s.put("recovery", "ns", "less", round, float64(time.Since(begun)))
	if healer, ok := rt.(target.Healer); ok && s.Piece != string(target.Connection) {
		at, err := healer.Healed(ctx, begun)
		if err != nil {
			return err
		}
		s.put("ready", "ns", "less", round, float64(at.Sub(begun)))
	}
	return nil
}

// compare settles what is open, and counts.
func (s *scene) compare(ctx context.Context, rt target.Runtime, once target.Once, t *tally) error {
	if err := t.settle(ctx, once); err != nil {
		return err
	}
	lost, repeated, err := t.compare(ctx, rt)
	s.count("lost", lost)
	s.count("repeated", repeated)
	s.count("interrupted", t.count(interrupted))
	return err
}

// killController has another process drive the runtime, kills it, and takes over.
func (s *scene) killController(ctx context.Context, t target.Target, round int) error {
	controlled, err := ability[target.Controlled](s, t, "has no controller that could be killed")
	if err != nil {
		return err
	}
	finder, err := ability[target.Finder](s, t, "finds no runtime again")
	if err != nil {
		return err
	}
	if len(s.config.Program) == 0 {
		return s.cannot("has no program here that could be its controller")
	}
	rt, err := t.Start(ctx, target.Wish{})
	if err != nil {
		return err
	}
	defer func() { rt.Stop(context.WithoutCancel(ctx)) }()
	leaver, err := ability[target.Leaver](s, rt, "lets go of no runtime")
	if err == nil {
		err = leaver.Leave(ctx)
	}
	if err != nil {
		return err
	}
	tally := newTally()
	if err := s.driven(ctx, orders{controlled.Order(), rt.ID(), 1}, tally); err != nil {
		return err
	}
	begun := time.Now()
	found, err := finder.Find(ctx, rt.ID())
	if err != nil {
		return err
	}
	rt = found
	once, err := ability[target.Once](s, rt, "has no commands that run once")
	if err != nil {
		return err
	}
	s.series("recovery", "ns", "less")
	s.put("ready", "ns", "less", round, float64(time.Since(begun)))
	if err := s.healed(ctx, rt, once, tally, round, begun); err != nil {
		return err
	}
	return s.compare(ctx, rt, once, tally)
}

// driven has a controller of its own process drive a runtime, and kills it while it is at work.
func (s *scene) driven(ctx context.Context, o orders, t *tally) error {
	cmd := exec.CommandContext(ctx, s.config.Program[0], append(s.config.Program[1:len(s.config.Program):len(s.config.Program)], PartController)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	in, err := cmd.StdinPipe() // it ends when this does, also if we are killed
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer in.Close()
	err = json.NewEncoder(in).Encode(o)
	lines := bufio.NewScanner(out)
	hear := func() {
		var n int
		var cut bool
		if _, failed := fmt.Sscan(lines.Text(), &n, &cut); failed == nil && cut {
			t.tell(n, interrupted)
		} else if failed == nil {
			t.tell(n, ended)
		}
	}
	for i := 0; err == nil && i < busyBefore && lines.Scan(); i++ {
		hear()
	}
	cmd.Process.Kill()
	for lines.Scan() { // what it said before it was killed
		hear()
	}
	cmd.Wait()
	if t.count(ended) < busyBefore {
		return errors.Join(err, errors.New("the controller ended before it was killed"))
	}
	t.number() // which it was at: nobody has told of it
	return err
}
