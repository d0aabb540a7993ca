package kit

import "context"

// Start runs one actor in a system of its own, which suits a test. wait returns when the actor has ended, with why, and
// leaves nothing behind; the end of ctx stops the actor.
func Start[M any](ctx context.Context, a Actor[M]) (ref Ref[M], wait func() error) {
	s := NewSystem(Config{Strategy: func(d Death, _ History) []Effect { return []Effect{{Op: End, Child: d.Who}} }})
	ref, err := Spawn(s, "actor", Temporary, func() Actor[M] { return a })
	if err != nil {
		panic(err) // a name that is taken in a new system
	}
	forget := context.AfterFunc(ctx, ref.Stop)
	return ref, func() error {
		<-ref.Done()
		forget()
		_ = s.Stop(context.Background())
		return ref.Err()
	}
}
