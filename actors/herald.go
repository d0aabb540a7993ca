package actors

import (
	"sync/atomic"

	"github.com/sandtree/sandtree/actors/kit"
)

// A herald calls the embedder's function for each change, one at a time and in order, so that the function may take its
// time and nobody else waits for it. If it panics, the herald is restarted and goes on with the next change.
type herald struct{ call func(Change) }

// Receive implements kit.Actor.
func (h *herald) Receive(_ *kit.Context[Change], ch Change) error {
	h.call(ch)
	return nil
}

// Waits implements kit.Waiter.
func (h *herald) Waits() {}

// Herald is how others reach the herald.
type Herald struct {
	call func(Change)
	ref  atomic.Pointer[kit.Ref[Change]]
}

// NewHerald makes a herald of f, to be started as a Member.
func NewHerald(f func(Change)) *Herald { return &Herald{call: f} }

// Member starts the herald below a group.
func (h *Herald) Member() kit.Member {
	return kit.MemberOf("herald", kit.Permanent, func() kit.Actor[Change] { return &herald{h.call} },
		func(ref kit.Ref[Change]) { h.ref.Store(&ref) })
}

// Notify has the function called soon. It does not wait.
func (h *Herald) Notify(ch Change) {
	if ref := h.ref.Load(); ref != nil {
		ref.Tell(ch)
	}
}
