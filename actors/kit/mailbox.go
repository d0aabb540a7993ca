package kit

import (
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// mailbox is where the messages of one cell wait. Unlike the library's, which starts a goroutine for each burst, it has
// the sender's goroutine handle what it sends, if nobody is at it: an actor's Receive never waits, so nobody is held up,
// and a message that goes through three actors costs no switch of goroutines. A sender that would have to go on for
// others, because more keeps coming, hands over to a goroutine.
type mailbox struct {
	invoker actor.MessageInvoker
	dead    func(m any) // told of what is still there when the cell is over

	mu        sync.Mutex
	sys, user queue
	busy      bool // somebody handles messages
	suspended bool // by the library, after a bug of this package
	aside     bool // always in a goroutine of its own: Receive may wait
	over      bool // the cell has ended
}

// inline is how many messages a sender handles before it hands over: its own, and what that may cause here.
const inline = 8

// RegisterHandlers implements the library's Mailbox. The dispatcher is not used.
func (m *mailbox) RegisterHandlers(i actor.MessageInvoker, _ actor.Dispatcher) { m.invoker = i }

// Start implements the library's Mailbox.
func (m *mailbox) Start() {}

// UserMessageCount implements the library's Mailbox.
func (m *mailbox) UserMessageCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.user.len()
}

// PostUserMessage implements the library's Mailbox.
func (m *mailbox) PostUserMessage(msg any) { m.post(&m.user, msg) }

// PostSystemMessage implements the library's Mailbox.
func (m *mailbox) PostSystemMessage(msg any) { m.post(&m.sys, msg) }

func (m *mailbox) post(q *queue, msg any) {
	m.mu.Lock()
	q.push(msg)
	mine := !m.busy
	m.busy = true
	aside := m.aside
	m.mu.Unlock()
	switch {
	case mine && aside:
		go m.handle(-1)
	case mine:
		m.handle(inline)
	}
}

// handle handles messages until there are none, or limit of them; -1 is no limit.
func (m *mailbox) handle(limit int) {
	for n := 0; ; n++ {
		m.mu.Lock()
		msg, system, ok := m.nextLocked()
		if !ok {
			m.busy = false
			m.mu.Unlock()
			return
		}
		if n == limit {
			m.unreadLocked(msg, system)
			m.mu.Unlock()
			go m.handle(-1)
			return
		}
		over := m.over
		m.mu.Unlock()
		if over && !system {
			m.dead(msg)
			continue
		}
		m.invoke(msg, system)
	}
}

func (m *mailbox) nextLocked() (msg any, system, ok bool) {
	if m.sys.len() > 0 {
		return m.sys.pop(), true, true
	}
	if m.user.len() > 0 && !m.suspended {
		return m.user.pop(), false, true
	}
	return nil, false, false
}

func (m *mailbox) unreadLocked(msg any, system bool) {
	if system {
		m.sys.unpop(msg)
	} else {
		m.user.unpop(msg)
	}
}

func (m *mailbox) invoke(msg any, system bool) {
	defer func() {
		if why := recover(); why != nil { // a bug of this package: what actors do is recovered from in their cell
			m.invoker.EscalateFailure(why, msg)
		}
	}()
	switch msg.(type) {
	case *actor.SuspendMailbox:
		m.set(&m.suspended, true)
	case *actor.ResumeMailbox:
		m.set(&m.suspended, false)
	default:
		if system {
			m.invoker.InvokeSystemMessage(msg)
		} else {
			m.invoker.InvokeUserMessage(msg)
		}
	}
}

func (m *mailbox) set(what *bool, to bool) {
	m.mu.Lock()
	*what = to
	m.mu.Unlock()
}

// queue is first in, first out. The zero queue is empty.
type queue struct {
	list []any
	head int // index of the first
}

func (q *queue) len() int { return len(q.list) - q.head }

func (q *queue) push(m any) {
	if q.head > 0 && len(q.list) == cap(q.list) { // room at the front is used before more is made
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, m)
}

func (q *queue) pop() any {
	m := q.list[q.head]
	q.list[q.head] = nil
	if q.head++; q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
		if cap(q.list) > 1024 { // a burst is over
			q.list = nil
		}
	}
	return m
}

// unpop puts back what was popped just now.
func (q *queue) unpop(m any) {
	if q.head == 0 { // it was the only one
		q.list = append([]any{m}, q.list...)
		return
	}
	q.head--
	q.list[q.head] = m
}
