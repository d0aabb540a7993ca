package journal

import (
	"context"
	"errors"
	"fmt"
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
	err := j.do(ctx, func(w *writer) (err error) {
		now := time.Now()
		l.epoch, err = w.acquire(id, owner, now, now.Add(ttl))
		l.expires.Store(now.Add(ttl).UnixMilli())
		return err
	})
	if err != nil {
		return Lease{}, failure(op, id, j.path, err)
	}
	return l, nil
}

func (w *writer) acquire(id sandbox.ID, owner string, now, until time.Time) (uint64, error) {
	w.create.BindText(1, string(id))
	if err := w.create.run(); err != nil {
		return 0, err
	}
	w.holder.BindText(1, string(id))
	if _, err := w.holder.Step(); err != nil {
		return 0, errors.Join(err, w.holder.Reset())
	}
	num, epoch := w.holder.ColumnInt64(0), w.holder.ColumnInt64(1)
	held, process, expires := w.holder.ColumnText(2), w.holder.ColumnText(3), w.holder.ColumnInt64(4)
	if err := w.holder.Reset(); err != nil {
		return 0, err
	}
	if held != "" && held != owner && expires > now.UnixMilli() && !ended(process) {
		return 0, refuse(sandbox.Conflict, "driven by %s until %s: wait, or end that process", held, time.UnixMilli(expires).Format(time.RFC3339))
	}
	w.take.BindInt64(1, epoch+1)
	w.take.BindText(2, owner)
	w.take.BindText(3, self())
	w.take.BindInt64(4, until.UnixMilli())
	w.take.BindInt64(5, num)
	return uint64(epoch) + 1, w.take.run()
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
	err := l.j.do(ctx, func(w *writer) error {
		num, have, err := w.runtime(l.id)
		if err != nil {
			return err
		}
		if uint64(have) != l.epoch {
			return &sandbox.Error{Code: sandbox.Conflict, Err: fmt.Errorf("the lease of epoch %d is lost: the runtime is at epoch %d", l.epoch, have)}
		}
		t := until(time.Now()).UnixMilli()
		w.extend.BindInt64(1, t)
		w.extend.BindInt64(2, num)
		l.expires.Store(t)
		return w.extend.run()
	})
	return failure(op, l.id, l.j.path, err)
}
