package shell

import (
	"cmp"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/child"
)

// Prepared is a bash that was started before anybody asked for a session: it is loaded and has read nothing. A session of the
// same directory and environment gets it (Config.Prepared), and is no different for that. One that was prepared without a
// directory is for sessions in any, also with a home and a cgroup of which nothing was known. Safe for concurrent use.
type Prepared struct {
	config Config
	at     unix.Stat_t // what its directory was
	env    []string    // sorted, without the home
	home   string      // "" is none

	mu   sync.Mutex
	cage child.Cage
	bash *bash // nil once it is a session's, or closed
}

// Prepare starts one for sessions of c. Errors are those of Start.
func Prepare(c Config) (*Prepared, error) {
	p := &Prepared{config: c}
	p.env, p.home = homeless(c.Env)
	slices.Sort(p.env)
	dir := cmp.Or(c.Dir, "/")
	err := unix.Stat(dir, &p.at)
	if err != nil {
		return nil, startError(&os.PathError{Op: "stat", Path: dir, Err: err})
	}
	if p.cage, err = child.NewCage(c.Cgroup, "shell"); err != nil {
		return nil, startError(err)
	}
	if p.bash, err = startBash(c, dir, p.cage.Group); err != nil {
		return nil, errors.Join(err, p.cage.Destroy())
	}
	return p, nil
}

// Fits says whether it is what a session of c would start. A nil Prepared never is.
func (p *Prepared) Fits(c Config) bool {
	if p == nil || c.Pipes || c.User != p.config.User {
		return false
	}
	env, home := homeless(c.Env)
	slices.Sort(env)
	if !slices.Equal(env, p.env) {
		return false
	}
	if p.config.Dir == "" {
		return (p.home == "" || p.home == home) && (p.config.Cgroup == c.Cgroup || child.CanEnter(c.Cgroup))
	}
	return p.home == home && p.config.Cgroup == c.Cgroup && p.config.Dir == c.Dir
}

// take gives the bash to a session of c, with the cage that it is in; nil if it is not what that would start.
func (p *Prepared) take(c Config) (*bash, child.Cage) {
	if !p.Fits(c) {
		return nil, child.Cage{}
	}
	var now unix.Stat_t
	if unix.Stat(c.Dir, &now) != nil || unix.Faccessat(unix.AT_FDCWD, c.Dir, unix.X_OK, unix.AT_EACCESS) != nil {
		return nil, child.Cage{} // which is said where a bash is started; for another user, after cd
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.bash
	if b == nil || b.exited() {
		return nil, child.Cage{}
	}
	cage := p.cage
	if c.Cgroup != p.config.Cgroup {
		var err error
		if cage, err = child.NewCage(c.Cgroup, "shell"); err != nil {
			return nil, child.Cage{} // which is said where a bash is started
		}
		b.group = cage.Group
	}
	if b.early = true; now.Dev != p.at.Dev || now.Ino != p.at.Ino {
		b.away = c.Dir
	}
	_, b.home = homeless(c.Env)
	p.bash = nil
	return b, cage
}

// homeless is env without the home, and that. A bash on a terminal is told where it is at home before it reads anything, whether
// it was prepared or not, so that both have the same environment.
func homeless(env []string) (rest []string, home string) {
	rest = make([]string, 0, len(env))
	for _, v := range env {
		if h, ok := strings.CutPrefix(v, "HOME="); ok && h != "" {
			home = h
			continue
		}
		rest = append(rest, v)
	}
	return rest, home
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

// catchUp appends what a bash must do to be at home, and what a prepared one must do besides to be as one that was started just
// now: it enters its cgroup, its seconds count from now, and where another file system has come over its directory, or that was
// not known, it goes there.
func (b *bash) catchUp() {
	if b.group != "" { // a thread that moves itself is moved at once
		b.line = append(b.line, `\builtin echo 0 >`...)
		b.line = append(b.dialect.quote(b.line, child.Entrance(b.group)), " || \\builtin exit\n"...)
	}
	if b.home != "" {
		b.line = append(b.line, `\builtin export HOME=`...)
		b.line = append(b.dialect.quote(b.line, b.home), '\n')
	}
	if !b.early {
		return
	}
	b.line = append(b.line, "SECONDS=0\n"...)
	if b.away != "" {
		b.line = append(b.line, `\builtin cd -P -- `...)
		b.line = b.dialect.quote(b.line, b.away)
		b.line = append(b.line, " || \\builtin exit\n\\builtin unset -v OLDPWD; \\builtin export OLDPWD\n"...)
	}
}
