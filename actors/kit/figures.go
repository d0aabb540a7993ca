package kit

import (
	"reflect"
	"strings"
)

// Figures are those of the actors of one kind in a System: of now, and since it was made.
type Figures struct {
	Actors   int    // that have not ended
	Messages int    // in their mailboxes
	Longest  int    // of these in the mailbox that has the most
	Failures uint64 // ends that nobody wanted
	Restarts uint64
	Dead     uint64 // letters that nobody took
}

// kindOf names a kind of actors by the type of its messages: those of a probe are probeMsg. Those whose type says nothing, as
// the members of groups, are "group".
func kindOf[M any]() string {
	name := reflect.TypeFor[M]().Name()
	if kind, ok := strings.CutSuffix(name, "Msg"); ok && kind != "" {
		return kind
	}
	return "group"
}

// Figures takes the figures, by kind.
func (s *System) Figures() map[string]Figures {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]Figures, len(s.counts))
	for kind, c := range s.counts {
		all[kind] = *c
	}
	for l := range s.live {
		f := all[l.kind]
		f.Actors++
		n := l.waiting()
		f.Messages, f.Longest = f.Messages+n, max(f.Longest, n)
		all[l.kind] = f
	}
	return all
}

// count changes the figures of a kind.
func (s *System) count(kind string, change func(*Figures)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts[kind] == nil {
		s.counts[kind] = &Figures{}
	}
	change(s.counts[kind])
}
