package shell

import (
	"slices"
	"strings"
)

// SetEnv gives bashes that start from now on, because the one that runs dies, more variables, KEY=VALUE. The one that
// runs keeps what it has.
func (s *Session) SetEnv(vars []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.added = Merge(s.added, vars)
}

// settings are those for the next bash.
func (s *Session) settings() Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.config
	c.Env = Merge(c.Env, s.added)
	return c
}

// Merge is env with more, KEY=VALUE both, where of a name that both have the later value counts. It changes neither.
func Merge(env, more []string) []string {
	if len(more) == 0 {
		return env
	}
	out := make([]string, 0, len(env)+len(more))
	all := slices.Concat(env, more)
	for i, v := range all {
		name, _, _ := strings.Cut(v, "=")
		if !slices.ContainsFunc(all[i+1:], func(w string) bool { return strings.HasPrefix(w, name+"=") }) {
			out = append(out, v)
		}
	}
	return out
}
