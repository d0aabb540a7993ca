package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// A Lease is the right to drive one runtime, until it expires. It is a value: copies are the same lease.
//
// Its end is a time of the wall clock, which all processes of a host share. A clock set back makes a lease last longer
// by so much, one set forward ends it early; either way the epoch keeps the old holder from writing once the new one
// has begun.
type Lease struct {
	j       *Journal
	id      sandbox.ID
	epoch   uint64
	ttl     time.Duration
	expires *atomic.Int64 // unix milliseconds
}

// Acquire takes the lease of runtime id for ttl, making the runtime where it is new, under an epoch one higher than
// the last. It is taken over from a holder whose lease has expired, whose process on this host has ended, or who is
// owner itself (whose older lease is over then). owner names the holder for people and is not "".
// Codes: Conflict (somebody else holds it: wait until Holder.Expires), Invalid, Exhausted, Denied, Unavailable, Canceled.
func (j *Journal) Acquire(ctx context.Context, id sandbox.ID, owner string, ttl time.Duration) (Lease, error) {
	const op = "journal.Acquire"
	if err := id.Check(); err != nil {
		return Lease{}, failure(op, id, j.path, err)
	}
	if owner == "" || ttl <= 0 {
		return Lease{}, &sandbox.Error{Code: sandbox.Invalid, Op: op, ID: id, Err: errors.New("want an owner and a positive ttl")}
	}
	l := Lease{j: j, id: id, ttl: ttl, expires: new(atomic.Int64)}
	// Nothing is logged under an old lease of ours while it is replaced.
	old := j.side.letGo(id)
	if err := j.acquire(ctx, &l, owner); err != nil {
		j.side.hold(id, old)
		return Lease{}, failure(op, id, j.path, err)
	}
	j.side.hold(id, holding{l.epoch, l.expires, newHeard()})
	return l, nil
}

// acquire takes in what earlier holders have logged, and raises the epoch.
func (j *Journal) acquire(ctx context.Context, l *Lease, owner string) error {
	if err := j.side.drain(ctx, of(l.id)); err != nil {
		return err
	}
	var dead []*os.File
	return j.doThen(ctx, func(w *writer) error {
		now := time.Now()
		num, epoch, err := w.vacancy(l.id, owner, now)
		if err != nil {
			return err
		}
		paths, err := j.sideFiles() // only now: it is our turn, and nobody else's to bury or shrink any
		if err != nil {
			return err
		}
		if dead, err = w.inherit(paths, l.id); err != nil {
			return err
		}
		l.epoch = uint64(epoch) + 1
		l.expires.Store(now.Add(l.ttl).UnixMilli())
		return w.lend(num, epoch+1, owner, now.Add(l.ttl))
	}, func() { bury(dead) })
}

// vacancy is the number and the epoch of a runtime, made where it is new, that owner may take.
func (w *writer) vacancy(id sandbox.ID, owner string, now time.Time) (num, epoch int64, err error) {
	w.create.BindText(1, string(id))
	if err := w.create.run(); err != nil {
		return 0, 0, err
	}
	w.holder.BindText(1, string(id))
	if _, err := w.holder.Step(); err != nil {
		return 0, 0, errors.Join(err, w.holder.Reset())
	}
	num, epoch = w.holder.ColumnInt64(0), w.holder.ColumnInt64(1)
	held, process, expires := w.holder.ColumnText(2), w.holder.ColumnText(3), w.holder.ColumnInt64(4)
	if err := w.holder.Reset(); err != nil {
		return 0, 0, err
	}
	if held != "" && held != owner && expires > now.UnixMilli() && !ended(process) {
		return 0, 0, refuse(sandbox.Conflict, "driven by %s until %s: wait, or end that process", held, time.UnixMilli(expires).Format(time.RFC3339))
	}
	return num, epoch, nil
}

func (w *writer) lend(num, epoch int64, owner string, until time.Time) error {
	w.take.BindInt64(1, epoch)
	w.take.BindText(2, owner)
	w.take.BindText(3, self())
	w.take.BindInt64(4, until.UnixMilli())
	w.take.BindInt64(5, num)
	return w.take.run()
}

// ID is the runtime's.
func (l Lease) ID() sandbox.ID { return l.id }

// Epoch numbers the lease among all of its runtime.
func (l Lease) Epoch() uint64 { return l.epoch }

// Expires is when the lease ends unless it is renewed.
func (l Lease) Expires() time.Time { return time.UnixMilli(l.expires.Load()) }

// Renew makes the lease last its ttl from now. One that has expired can be renewed while nobody else has taken it.
// Codes: Conflict (somebody has), NotFound (the runtime was removed), Unavailable, Canceled and so on, as Append.
func (l Lease) Renew(ctx context.Context) error {
	return l.extend(ctx, "journal.Renew", func(now time.Time) time.Time { return now.Add(l.ttl) })
}

// Release ends the lease, so that another may take it at once; if somebody has, nothing is done.
func (l Lease) Release(ctx context.Context) error {
	err := l.extend(ctx, "journal.Release", func(time.Time) time.Time { return time.UnixMilli(0) })
	if c := sandbox.CodeOf(err); c == sandbox.Conflict || c == sandbox.NotFound {
		return nil
	}
	return err
}

func (l Lease) extend(ctx context.Context, op string, until func(now time.Time) time.Time) error {
	if l.j == nil {
		return &sandbox.Error{Code: sandbox.Invalid, Op: op, Err: errors.New("no lease")}
	}
	var end int64
	err := l.j.doThen(ctx, func(w *writer) error {
		num, have, err := w.runtime(l.id)
		if err != nil {
			return err
		}
		if uint64(have) != l.epoch {
			return &sandbox.Error{Code: sandbox.Conflict, Err: fmt.Errorf("the lease of epoch %d is lost: the runtime is at epoch %d", l.epoch, have)}
		}
		end = until(time.Now()).UnixMilli()
		if end < l.expires.Load() { // it ends here before others can see that it does, and lasts here only when they can
			l.expires.Store(end)
		}
		w.extend.BindInt64(1, end)
		w.extend.BindInt64(2, num)
		return w.extend.run()
	}, func() { l.expires.Store(end) })
	return failure(op, l.id, l.j.path, err)
}
