package jail

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/audit"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// Between two attempts to hear what nobody took, or to have a keeper in the place of another.
const (
	again  = 200 * time.Millisecond // at first; then twice as long each time
	seldom = 5 * time.Second
)

const (
	// maxFailures is how many keepers may end one after the other, within six seconds, before there is no other.
	maxFailures = 5
	// proven is how long a keeper lives that does what it is for, where nobody hears it.
	proven = 10 * time.Second
)

// attend hears one keeper after the other: those that are killed are replaced. What nobody took it hears again, from the keeper,
// which has room for so much and counts the rest.
func (e *ear) attend(ctx context.Context) {
	var untaken error // why the last records were not taken; nil once any have been since
	defer func() {
		if untaken != nil {
			e.d.log.Error("what programs did is not on record", "id", e.label.ID, "err", untaken)
		}
	}()
	failures := 0 // keepers in a row
	for pause := again; ; pause = min(2*pause, seldom) {
		h := e.listen(ctx)
		if h.took {
			untaken, pause = nil, again
		}
		if h.well {
			failures = 0
		}
		refused := errors.Is(h.err, audit.ErrUntaken) // by us: the keeper is well
		if refused {
			untaken = h.err
			e.d.log.Warn("what programs did is not on record, and is told again", "id", e.label.ID, "in", pause, "err", h.err)
		} else if h.replaced || !e.server.Alive() {
			return
		}
		if ctx.Err() != nil || !e.current() {
			return
		}
		if !refused {
			if failures == maxFailures {
				e.giveUp(h.err)
				return
			}
			e.d.log.Warn("whoever watches a sandbox is not there, and is replaced", "id", e.label.ID, "err", h.err)
			started, err := e.replace()
			if err != nil {
				e.d.log.Error("nobody watches a sandbox, whose programs can start no others", "id", e.label.ID, "err", err)
			}
			if started || err != nil {
				failures++
			}
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// hearing is how the hearing of a keeper ended.
type hearing struct {
	replaced bool  // another process hears it now
	took     bool  // something that it told is on record
	well     bool  // it did what it is for
	err      error // what became of it
}

// listen hears the keeper that there is, or waits for its end, if nobody wants to know.
func (e *ear) listen(ctx context.Context) (h hearing) {
	if e.d.config.OnAudit == nil {
		return e.await(ctx)
	}
	path, done, err := e.home.socket(auditSocket)
	if err != nil {
		h.err = err
		return h
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	done()
	if err != nil {
		h.err = err
		return h
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	h.replaced, h.err = audit.Hear(conn, func(records []sandbox.AuditRecord) error {
		err := e.tell(records)
		h.well, h.took = true, h.took || err == nil
		return err
	})
	return h
}

// await waits for the end of the keeper.
func (e *ear) await(ctx context.Context) (h hearing) {
	p, err := e.d.keeper(e.home)
	if err != nil {
		h.err = err
		return h
	}
	began := time.Now()
	select {
	case <-p.Done():
		h.err = held.ErrEnded
	case <-e.server.Done():
	case <-ctx.Done():
	}
	h.well = time.Since(began) > proven
	return h
}

// replace starts a keeper for a sandbox whose own has been killed. That another process does so already is no error.
func (e *ear) replace() (started bool, err error) {
	state, err := e.home.lockAuditState(false)
	if errors.Is(err, errKept) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	defer state.Close()
	if err := e.d.startKeeper(e.home, e.label, e.server, state, nil); err != nil {
		return false, err
	}
	return true, nil
}

// giveUp ends a sandbox that nobody can watch: its programs wait for an answer, and what they would do then is not to be done unseen.
func (e *ear) giveUp(why error) {
	reason := fmt.Sprintf("audit stopped: %d keepers have ended one after the other (%v)%s; the sandbox is ended, since its programs "+
		"would wait for them for ever", maxFailures, why, homes.LastWords(e.home.LogFile()))
	e.d.log.Error(reason, "id", e.label.ID)
	if e.d.config.OnAudit != nil {
		if err := e.tellOne(sandbox.AuditRecord{Kind: sandbox.AuditStopped, Reason: reason}); err != nil {
			e.d.log.Error("that the audit has stopped is not on record", "id", e.label.ID, "err", err)
		}
	}
	e.server.Kill()
}
