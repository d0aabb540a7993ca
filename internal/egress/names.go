package egress

import (
	"container/list"
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"sync"
)

// maxNames is how many made-up addresses stand for a name at a time: 1.5 MB if the names are as long as names can be.
const maxNames = 4096

// names makes up addresses for names, and knows them again. The one that was asked for least recently is forgotten
// first; its address is given again only after all others of the range, so that a program that remembers it for long is
// refused, and not sent elsewhere. For the same reason the first one is any of the range: a program may remember what the
// controller before this one gave.
type names struct {
	mu     sync.Mutex
	next   uint32 // the last one given, counted from the beginning of the range
	byName map[string]*list.Element
	byAddr map[netip.Addr]*list.Element
	order  *list.List // of *madeUpName, the most recent first
}

type madeUpName struct {
	name string
	addr netip.Addr
}

func newNames() *names {
	var b [8]byte
	_, _ = rand.Read(b[:]) // which never fails
	return &names{next: uint32(binary.NativeEndian.Uint64(b[:]) % madeUpSize), byName: map[string]*list.Element{}, byAddr: map[netip.Addr]*list.Element{}, order: list.New()}
}

// address gives the one that stands for name.
func (n *names) address(name string) netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e, ok := n.byName[name]; ok {
		n.order.MoveToFront(e)
		return e.Value.(*madeUpName).addr
	}
	if n.order.Len() >= maxNames {
		old := n.order.Remove(n.order.Back()).(*madeUpName)
		delete(n.byName, old.name)
		delete(n.byAddr, old.addr)
	}
	m := &madeUpName{name: name}
	for m.addr = n.give(); n.byAddr[m.addr] != nil; m.addr = n.give() { // one that is still asked for after a whole round
	}
	e := n.order.PushFront(m)
	n.byName[name], n.byAddr[m.addr] = e, e
	return m.addr
}

// madeUpSize is how many addresses there are: all but the first and last, which look like a network and a broadcast.
const madeUpSize = 1<<17 - 2

// give goes on in the range.
func (n *names) give() netip.Addr {
	n.next = n.next%madeUpSize + 1
	b := madeUp.Addr().As4()
	return netip.AddrFrom4([4]byte{b[0], b[1] | byte(n.next>>16), byte(n.next >> 8), byte(n.next)})
}

// name gives the name that an address stands for; "" if it stands for none, or none any more.
func (n *names) name(a netip.Addr) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	e, ok := n.byAddr[a]
	if !ok {
		return ""
	}
	n.order.MoveToFront(e)
	return e.Value.(*madeUpName).name
}
