package audit

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

const (
	maxChanges = 256             // files that one record tells of
	firstLook  = 5 * time.Second // that a start waits for; 50 000 files take some two
	untaken    = time.Second     // until what nobody took is told once more
)

// Follow tells which files of a directory have changed, after each action.
type Follow struct {
	looks *Looks
	dir   string
	there func() bool                     // dir is still what it was
	tell  func(sandbox.AuditRecord) error // nil once it is on record

	acted chan struct{} // an action has ended
	based chan struct{} // closed when it is known what there is before anything has changed, or that it cannot be
	late  atomic.Bool   // somebody did not wait for that
	told  map[string]bool
}

// NewFollow follows a directory, in turns with the others of looks, from Run on. What tell does not take, it is told again. After each
// look there says whether that was still the directory.
func NewFollow(looks *Looks, dir string, there func() bool, tell func(sandbox.AuditRecord) error) *Follow {
	return &Follow{looks: looks, dir: dir, there: there, tell: tell, acted: make(chan struct{}, 1), based: make(chan struct{}), told: map[string]bool{}}
}

// Acted says that an action has ended, which may have changed files. It does not wait.
func (f *Follow) Acted() {
	select {
	case f.acted <- struct{}{}:
	default: // it will look anyway
	}
}

// Await waits until it is known what there is before the first action. That there is too much for the time that a start has, or that
// ctx ends, is no reason for nothing to start: it is told.
func (f *Follow) Await(ctx context.Context) {
	t := time.NewTimer(firstLook)
	defer t.Stop()
	select {
	case <-f.based:
	case <-t.C:
		f.late.Store(true)
	case <-ctx.Done():
		f.late.Store(true)
	}
}

// Run returns when ctx has ended, the directory is not what it was, or it cannot be looked at.
func (f *Follow) Run(ctx context.Context) error {
	before, err := f.looks.Look(ctx, f.dir)
	close(f.based)
	if err != nil {
		return f.failed(ctx, err)
	}
	defer func() { before.Release() }()
	if f.late.Load() {
		f.why("the first look at the files took longer than the start: what the first actions have changed may not be told")
	}
	for {
		f.why(before.Lacks)
		select {
		case <-ctx.Done():
			return nil
		case <-f.acted:
		}
		after, err := f.looks.Look(ctx, f.dir)
		if err != nil {
			return f.failed(ctx, err)
		}
		if !f.there() {
			after.Release()
			return nil
		}
		if !f.changed(ctx, before, after) {
			after.Release()
			f.again(ctx)
			continue
		}
		before.Release()
		before = after
	}
}

func (f *Follow) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil || !f.there() {
		return nil
	}
	return err
}

// changed says whether it is on record what has changed.
func (f *Follow) changed(ctx context.Context, before, after *Tree) bool {
	if f.looks.begin(ctx) != nil { // to compare is work too
		return false
	}
	began := time.Now()
	list, more := before.Changes(after, maxChanges)
	f.looks.end(time.Since(began))
	return len(list) == 0 || f.tell(sandbox.AuditRecord{Time: time.Now().UTC(), Kind: sandbox.AuditChanged, Changes: list, Untold: int64(more),
		Cut: !before.whole() || !after.whole()}) == nil
}

// why tells, once for each reason, why not all is told.
func (f *Follow) why(reason string) {
	if reason == "" || f.told[reason] {
		return
	}
	f.told[reason] = f.tell(sandbox.AuditRecord{Time: time.Now().UTC(), Kind: sandbox.AuditChanged, Cut: true, Reason: reason}) == nil
}

// again has it look once more in a while.
func (f *Follow) again(ctx context.Context) {
	t := time.NewTimer(untaken)
	defer t.Stop()
	select {
	case <-t.C:
		f.Acted()
	case <-ctx.Done():
	}
}
