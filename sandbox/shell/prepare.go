package shell

import (
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Prepared is a bash that was started before anybody asked for a session: it is loaded and has read nothing. A session of the
// same directory and environment gets it (Config.Prepared), and is no different for that. Safe for concurrent use.
type Prepared struct {
	dir string
	at  unix.Stat_t // what was there
	env []string    // sorted

	mu   sync.Mutex
	bash *bash // nil once it is a session's, or closed
}

// Prepare starts one for sessions of c, which have no cgroup and are no one else's than the caller's. Errors are those of Start.
func Prepare(c Config) (*Prepared, error) {
	p := &Prepared{dir: c.Dir, env: sorted(c.Env)}
	if err := unix.Stat(c.Dir, &p.at); err != nil {
		return nil, startError(&os.PathError{Op: "stat", Path: c.Dir, Err: err})
	}
	var err error
	p.bash, err = startBash(c, c.Dir, "")
	return p, err
}

func sorted(env []string) []string {
	env = slices.Clone(env)
	slices.Sort(env)
	return env
}

// take gives the bash to a session of c that begins in dir; nil if it is not what that would start.
func (p *Prepared) take(c Config, dir string) *bash {
	if p == nil || c.Pipes || c.User != nil || c.Cgroup != "" || dir != p.dir || !slices.Equal(sorted(c.Env), p.env) {
		return nil
	}
	var now unix.Stat_t
	if unix.Stat(dir, &now) != nil {
		return nil // which is said where a bash is started
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.bash
	if b == nil || b.exited() {
		return nil
	}
	if b.early = true; now.Dev != p.at.Dev || now.Ino != p.at.Ino {
		b.away = dir
	}
	p.bash = nil
	return b
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
