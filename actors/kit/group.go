package kit

// None is the message of an actor that takes none.
type None struct{}

// A Member says how to start one child of a group.
type Member func(*Context[None]) error

// MemberOf is a Member; started, if not nil, is given the Ref each time the group starts, before anything runs that
// needs it.
func MemberOf[C any](name string, kind Kind, make func() Actor[C], started func(Ref[C])) Member {
	return func(c *Context[None]) error {
		ref, err := SpawnChild(c, name, kind, make)
		if err == nil && started != nil {
			started(ref)
		}
		return err
	}
}

// Group makes an actor that does nothing but supervise members, under one strategy with one intensity. They start in
// order and end in reverse.
func Group(s Strategy, members ...Member) func() Actor[None] {
	return func() Actor[None] { return &group{s, members} }
}

type group struct {
	strategy Strategy
	members  []Member
}

func (g *group) Started(c *Context[None]) error {
	for _, start := range g.members {
		if err := start(c); err != nil {
			return err
		}
	}
	return nil
}

func (g *group) Receive(*Context[None], None) error { return nil }
func (g *group) Strategy() Strategy                 { return g.strategy }
