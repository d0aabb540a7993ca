package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// figures count the actions that were performed. The zero value counts from now on, if began is set.
type figures struct {
	began   time.Time
	running atomic.Int64
	active  atomic.Int64 // when the latest action ended, nanoseconds since began
	output  atomic.Uint64
	kinds   [len(kinds)]kindFigures
}

// maxAsking is how many OpenHands actions may be waiting, be performed or have their bodies read.
const maxAsking = 2 * maxInLane

// kinds are those that are counted.
var kinds = [...]sandbox.Kind{sandbox.KindRun, sandbox.KindIPython, sandbox.KindRead, sandbox.KindWrite, sandbox.KindEdit,
	sandbox.KindBrowse, sandbox.KindBrowseInteractive, sandbox.KindMCP}

// The ways in which an action can end.
const (
	outcomeDone    = iota // as asked
	outcomeFailed         // with an exit code that is not 0, or an error observation
	outcomeTimeout        // the command goes on, or was refused since another one does
	outcomeError          // it was not performed
	outcomes
)

var outcomeNames = [outcomes]string{"done", "failed", "timeout", "error"}

// limits are the upper bounds of the buckets that durations are counted in: from what a builtin takes to the longest
// timeout that clients use.
var limits = [...]time.Duration{time.Millisecond, 5 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond,
	500 * time.Millisecond, 2500 * time.Millisecond, 10 * time.Second, time.Minute, 10 * time.Minute}

type kindFigures struct {
	outcome [outcomes]atomic.Uint64
	within  [len(limits) + 1]atomic.Uint64 // not those of the buckets below; the last is beyond all limits
	nanos   atomic.Int64
}

// measured performs an action and counts it. What the machine lacked meanwhile is told in the observation or the error.
func (s *Server) measured(ctx context.Context, a sandbox.Action, p *performance) (sandbox.Observation, error) {
	f := &s.figures
	s.crowd.note(f.running.Add(1))
	defer func() {
		f.active.Store(int64(time.Since(f.began)))
		f.running.Add(-1)
	}()
	if p.at.IsZero() {
		p.at = time.Now()
		if print := p.out; print != nil {
			p.out = func(offset int64, b []byte) {
				f.output.Add(uint64(len(b)))
				print(offset, b)
			}
		}
	}
	o, err := s.perform(ctx, a, p)
	if err == errGoesOn {
		return o, err
	}
	ended := outcomeOf(o, err)
	f.count(a.Kind(), ended, time.Since(p.at))
	if ended != outcomeDone {
		return s.pressed(ctx, o, err)
	}
	return o, err
}

func outcomeOf(o sandbox.Observation, err error) int {
	if err != nil {
		return outcomeError
	}
	switch r := o.Result.(type) {
	case sandbox.ErrorResult:
		return outcomeFailed
	case sandbox.RunResult:
		switch r.Metadata.ExitCode {
		case 0:
		case -1:
			return outcomeTimeout
		default:
			return outcomeFailed
		}
	}
	return outcomeDone
}

func (f *figures) count(kind sandbox.Kind, outcome int, took time.Duration) {
	i := slices.Index(kinds[:], kind)
	if i < 0 {
		return
	}
	k := &f.kinds[i]
	k.outcome[outcome].Add(1)
	at := slices.IndexFunc(limits[:], func(l time.Duration) bool { return took <= l })
	if at < 0 {
		at = len(limits)
	}
	k.within[at].Add(1)
	k.nanos.Add(int64(took))
}

// idle is for how long nothing has been performed; 0 while something is.
func (f *figures) idle() time.Duration {
	if f.running.Load() > 0 {
		return 0
	}
	return max(0, time.Since(f.began)-time.Duration(f.active.Load()))
}

// pressed adds to the end of an action what the machine lacked.
func (s *Server) pressed(ctx context.Context, o sandbox.Observation, err error) (sandbox.Observation, error) {
	if err != nil {
		return o, s.diskFull(err)
	}
	text, ok := s.memory.struck()
	if !ok {
		return o, nil
	}
	s.log.WarnContext(ctx, "the kernel has killed for want of memory", "kind", o.Kind())
	switch r := o.Result.(type) {
	case sandbox.RunResult:
		r.Metadata.Suffix += "\n[" + text + "]"
		o.Result = r
	case sandbox.ErrorResult, sandbox.IPythonResult:
		o.Content += "\n[" + text + "]"
	}
	return o, nil
}

// diskFull says, of an error that comes from a full disk, how full it is and what helps.
func (s *Server) diskFull(err error) error {
	e, ok := errors.AsType[*sandbox.Error](err)
	if !ok || !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	d := diskOf(s.config.Dir)
	return &sandbox.Error{Code: sandbox.Exhausted, Op: e.Op, ID: e.ID, Err: fmt.Errorf("%w: the disk is full; at %s %d of %d bytes are free: "+
		"remove what is not needed, then ask again", e.Err, s.config.Dir, d.Free, d.Total)}
}

// diskOf measures the file system at a path; zeros if that cannot be.
func diskOf(path string) (d wire.Disk) {
	var fs syscall.Statfs_t
	if syscall.Statfs(path, &fs) == nil {
		d.Total, d.Free = fs.Blocks*uint64(fs.Bsize), fs.Bavail*uint64(fs.Bsize)
	}
	return d
}

// count is how many shells and terminals there are.
func (s *sessions) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return 1 + len(s.named) + len(s.beside)
}
