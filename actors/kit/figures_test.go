package kit

import (
	"testing"
	"testing/synctest"
)

type slowMsg interface{}

// slow takes one message at a time, when it is let.
type slow struct{ let chan struct{} }

func (s slow) Waits() {}

func (s slow) Receive(*Context[slowMsg], slowMsg) error {
	<-s.let
	return nil
}

func TestFiguresOfActors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSystem(Config{})
		let := make(chan struct{})
		ref, err := Spawn(s, "a", Permanent, func() Actor[slowMsg] { return slow{let} })
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			ref.Tell(1)
		}
		synctest.Wait() // it has taken one
		if f := s.Figures()["slow"]; f != (Figures{Actors: 1, Messages: 2, Longest: 2}) {
			t.Errorf("%+v", f)
		}
		close(let)
		ref.Stop()
		<-ref.Done()
		ref.Tell(2)
		synctest.Wait()
		f := s.Figures()["slow"]
		if f.Actors != 0 || f.Messages != 0 || f.Dead == 0 || f.Failures != 0 {
			t.Errorf("after its end: %+v", f)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
