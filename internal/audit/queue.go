package audit

import (
	"sync"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// What waits for a controller: records, and about how many bytes of them.
const (
	maxWaiting = 2048
	maxBytes   = 4 << 20
)

// line is a record on its way to a controller, which answers with its number when it has it.
type line struct {
	Seq uint64 `json:"seq"`
	sandbox.AuditRecord
}

// queue holds records until somebody has them. What does not fit, in time or in space, is counted.
type queue struct {
	perSecond int
	now       func() time.Time // the time of the machine

	mu      sync.Mutex
	lines   []line // not acknowledged, oldest first
	bytes   int
	last    uint64 // the number of the latest
	buckets map[sandbox.AuditKind]*bucket
	untold  map[sandbox.AuditKind]int64
	rung    chan struct{} // closed when there is something new; then another one
	closed  bool
}

func newQueue(perSecond int) *queue {
	return &queue{perSecond: perSecond, now: time.Now, buckets: map[sandbox.AuditKind]*bucket{}, untold: map[sandbox.AuditKind]int64{}, rung: make(chan struct{})}
}

// wants says whether a record of this kind would be told. If not, it has been counted.
func (q *queue) wants(k sandbox.AuditKind) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.wantsLocked(k) {
		return true
	}
	q.untold[k]++
	return false
}

func (q *queue) wantsLocked(k sandbox.AuditKind) bool {
	b := q.buckets[k]
	if b == nil {
		b = newBucket(q.perSecond)
		q.buckets[k] = b
	}
	return len(q.lines) < maxWaiting && q.bytes < maxBytes && !q.closed && b.allow(q.now())
}

// put adds a record that is wanted.
func (q *queue) put(r sandbox.AuditRecord) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.putLocked(r)
}

func (q *queue) putLocked(r sandbox.AuditRecord) {
	r.Time = q.now().UTC()
	r.Untold, q.untold[r.Kind] = q.untold[r.Kind], 0
	q.last++
	l := line{q.last, r}
	q.lines = append(q.lines, l)
	q.bytes += l.size()
	close(q.rung)
	q.rung = make(chan struct{})
}

// sum tells of what was not told and is followed by nothing that could tell it. It says whether there is more.
func (q *queue) sum() (more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for k, n := range q.untold {
		switch {
		case n == 0:
		case q.wantsLocked(k):
			q.putLocked(sandbox.AuditRecord{Kind: k})
		default:
			more = true
		}
	}
	return more
}

// after gives the lines that follow number n, and what is closed when there are others. Told whether there will be none.
func (q *queue) after(n uint64) (lines []line, rung <-chan struct{}, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, l := range q.lines {
		if l.Seq > n {
			lines = append(lines, q.lines[i:]...)
			break
		}
	}
	return lines, q.rung, q.closed
}

// acknowledge forgets the lines up to number n, and says whether none is left.
func (q *queue) acknowledge(n uint64) (none bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := 0
	for i < len(q.lines) && q.lines[i].Seq <= n {
		q.bytes -= q.lines[i].size()
		i++
	}
	clear(q.lines[:i]) // so that nothing holds on to them
	q.lines = q.lines[i:]
	return len(q.lines) == 0
}

// close says that nothing will come any more.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	close(q.rung)
	q.rung = make(chan struct{})
}

// size is about how many bytes it takes.
func (l line) size() int {
	n := 256 + len(l.Path) + len(l.To) + 8*len(l.Numbers)
	for _, a := range l.Argv {
		n += len(a) + 16
	}
	return n
}
