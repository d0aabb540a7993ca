package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// A blank is a server that has been started and waits to be told what it is to be, with a shell that is in no directory yet: it
// has no home, no label, no key and nothing of anybody's but the mark of a sandbox to come, and ends by itself when this process
// does. What it saves is the start of two programs; all that a spec says is done when it is adopted, by the same code as otherwise.
type blank struct {
	d    *Driver
	s    *spawned
	mark string // of the sandbox that it can be the server of
	used atomic.Bool
}

var _ backends.Warmer = (*Driver)(nil)

// Shape is the same for all specs: nothing of one is settled before.
func (d *Driver) Shape(sandbox.Spec) (string, bool) { return "", true }

// Warm starts a server for whoever comes. It returns when it waits.
func (d *Driver) Warm(ctx context.Context, _ sandbox.Spec) (backends.Blank, error) {
	b := &blank{d: d, mark: newMark()}
	var err error
	if b.s, err = d.warm(b.mark); err != nil {
		return nil, homes.Failed("local.Warm", "", err)
	}
	if err := b.s.waits(ctx); err != nil {
		b.s.end()
		return nil, homes.Failed("local.Warm", "", err)
	}
	return b, nil
}

// waits returns when the server of a blank has nothing else to do.
func (s *spawned) waits(ctx context.Context) error {
	waiting := homes.Pipes{Ready: s.ready} // the others must not be bounded when it is told, whenever that is
	defer waiting.Within(ctx)()
	switch _, err := s.ready.Read(make([]byte, 1)); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return homes.Coded(sandbox.Canceled, fmt.Errorf("before sandboxd waited: %w", context.Cause(ctx)))
	default:
		return homes.Coded(sandbox.Unavailable, fmt.Errorf("sandboxd does not wait to be told what it is to be: %w", err))
	}
}

func (d *Driver) warm(mark string) (*spawned, error) {
	program, err := d.sandboxd()
	if err != nil {
		return nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	env := d.base(home{}, mark)
	env["HOME"] = "/"
	s, err := launch(program, nil, homes.Environ(env), null)
	if err == nil && s.pidfd < 0 {
		s.end()
		err = errPidfd
	}
	return s, err
}

// Adopt makes the blank the server of a sandbox, as Start would start one. If it is not needed, because the sandbox lives,
// it is ended; if it has ended, another is started.
func (b *blank) Adopt(ctx context.Context, spec sandbox.Spec) (backends.Instance, error) {
	defer b.Stop(ctx, 0)
	return b.d.homes.StartBy(ctx, spec, b.place)
}

// place is that of its driver, with what is started already.
func (b *blank) place(ctx context.Context, h homes.Home, l *label, spec sandbox.Spec, fresh bool) (*homes.Instance[label], error) {
	if fresh {
		l.Mark = b.mark
	}
	return b.d.placeBy(ctx, home{h}, l, spec, fresh, b)
}

// Alive says whether it waits.
func (b *blank) Alive() bool { return !b.used.Load() && !held.Ended(b.s.pidfd) }

// Stop ends the blank, unless it has been adopted.
func (b *blank) Stop(context.Context, time.Duration) error {
	if b.used.CompareAndSwap(false, true) {
		b.s.end()
	}
	return nil
}

var errPidfd = errors.New("the kernel gives no pidfd: Linux 5.3 is needed")

// end ends a server that has no home.
func (s *spawned) end() {
	s.close()
	_ = s.child.Kill()
	_, _ = s.child.Wait()
	if s.pidfd >= 0 {
		_ = unix.Close(s.pidfd)
	}
}

// serve gives the server of a home: the blank if there is one, else a new one. One that is revived keeps the mark it had, and so gets the
// server without the shell, whose environment has another.
func (d *Driver) serve(h home, l label, program string, args []string, b *blank) (*spawned, error) {
	if b != nil && b.Alive() && b.used.CompareAndSwap(false, true) {
		s, err := d.tell(h, b.s, args)
		if err == nil {
			return s, nil
		}
		d.log.Warn("a warm server could not be adopted", "id", l.ID, "err", err)
	}
	return d.spawn(h, l, program, args)
}

// tell makes s, which waits, the server of a home. If it cannot be, it has ended.
func (d *Driver) tell(h home, s *spawned, args []string) (_ *spawned, err error) {
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.process, err = d.homes.Adopt(h.Home, s.child, s.pidfd, nil); err != nil {
		return nil, err
	}
	log, err := h.openLog()
	if err == nil {
		err = log.Close()
	}
	if err == nil {
		// Until it has been told all, and the pipe is closed, it is nothing: should we die meanwhile, it ends.
		_, err = s.order.WriteString(strings.Join(append([]string{h.LogFile(), strconv.Itoa(len(args))}, args...), "\x00") + "\x00")
	}
	if err == nil {
		err = s.order.Close()
	}
	if err != nil {
		s.process.Kill()
	}
	return s, err
}
