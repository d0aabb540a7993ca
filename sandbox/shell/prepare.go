package shell

import (
	"errors"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/child"
)

// Prepared is a bash that was started before anybody asked for a session: it is loaded and has read nothing. A session of the
// same directory and environment gets it (Config.Prepared), and is no different for that. Safe for concurrent use.
type Prepared struct {
	config Config
	at     unix.Stat_t // what its directory was
	env    []string    // sorted

	mu   sync.Mutex
	cage child.Cage
	bash *bash // nil once it is a session's, or closed
}

// Prepare starts one for sessions of c. Errors are those of Start.
func Prepare(c Config) (*Prepared, error) {
	p := &Prepared{config: c, env: sorted(c.Env)}
	if err := unix.Stat(c.Dir, &p.at); err != nil {
		return nil, startError(&os.PathError{Op: "stat", Path: c.Dir, Err: err})
	}
	var err error
	if p.cage, err = child.NewCage(c.Cgroup, "shell"); err != nil {
		return nil, startError(err)
	}
	if p.bash, err = startBash(c, c.Dir, p.cage.Group); err != nil {
		return nil, errors.Join(err, p.cage.Destroy())
	}
	return p, nil
}

func sorted(env []string) []string {
	env = slices.Clone(env)
	slices.Sort(env)
	return env
}

// Fits says whether it is what a session of c would start. A nil Prepared never is.
func (p *Prepared) Fits(c Config) bool {
	return p != nil && !c.Pipes && c.User == p.config.User && c.Cgroup == p.config.Cgroup && c.Dir == p.config.Dir && slices.Equal(sorted(c.Env), p.env)
}

// take gives the bash to a session of c, with the cage that it is in; nil if it is not what that would start.
func (p *Prepared) take(c Config) (*bash, child.Cage) {
	if !p.Fits(c) {
		return nil, child.Cage{}
	}
	var now unix.Stat_t
	if unix.Stat(c.Dir, &now) != nil {
		return nil, child.Cage{} // which is said where a bash is started
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.bash
	if b == nil || b.exited() {
		return nil, child.Cage{}
	}
	if b.early = true; now.Dev != p.at.Dev || now.Ino != p.at.Ino {
		b.away = c.Dir
	}
	p.bash = nil
	return b, p.cage
}

func (b *bash) exited() bool {
	select {
	case <-b.gone:
		return true
	default:
		return false
	}
}

// Close ends the bash, unless it is a session's. Of a nil Prepared it does nothing.
func (p *Prepared) Close() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bash != nil {
		p.bash.kill()
		p.bash.close()
		p.bash = nil
		_ = p.cage.Destroy() // what is left of it is in the cgroup that was given, whose owner clears that
	}
}

// catchUp appends what a prepared bash must do to be as one that was started just now: its seconds count from now, and where
// another file system has come over its directory, it goes there.
func (b *bash) catchUp() {
	if !b.early {
		return
	}
	b.line = append(b.line, "SECONDS=0\n"...)
	if b.away != "" {
		b.line = append(b.line, `\builtin cd -- `...)
		b.line = b.dialect.quote(b.line, b.away)
		b.line = append(b.line, "\n\\builtin unset -v OLDPWD; \\builtin export OLDPWD\n"...)
	}
}
