package audit

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/sandbox"
)

// Answers are how a keeper answers, and what it tells a call as: for whoever makes a Config to try it.
type Answers struct {
	calls   map[int]Call
	decider decider
}

// NewAnswers gives those of a Config.
func NewAnswers(calls map[int]Call) (Answers, error) {
	d, err := newDecider(calls)
	return Answers{calls, d}, err
}

// Errno is the answer to a call; 0 lets it go on.
func (a Answers) Errno(number int, args ...uint64) int { return a.of(number, args).Errno }

// Kind is what a call is told as.
func (a Answers) Kind(number int, args ...uint64) sandbox.AuditKind { return a.of(number, args).Kind }

func (a Answers) of(number int, args []uint64) Call {
	n := notice{Number: int32(number)}
	copy(n.Args[:], args)
	c, known := a.calls[number]
	return a.decider.answer(c, known, &n)
}

// decider decides calls by their arguments, which are those in the registers: the kernel has copied them, the call will have them,
// and nobody can change them meanwhile.
type decider map[int]*bpf.VM

func newDecider(calls map[int]Call) (decider, error) {
	d := decider{}
	for n, c := range calls {
		if len(c.Decide) == 0 {
			continue
		}
		steps := make([]bpf.Instruction, len(c.Decide))
		for i, r := range c.Decide {
			steps[i] = r.Disassemble()
		}
		vm, err := bpf.NewVM(steps)
		if err != nil {
			return nil, fmt.Errorf("what decides %s: %w", c.Name, err)
		}
		d[n] = vm
	}
	return d, nil
}

// answer gives c as it is for a call. What no filter of ours asks about there is not, and what the steps do not allow is denied.
func (d decider) answer(c Call, known bool, n *notice) Call {
	if !known {
		c.Errno = int(unix.ENOSYS)
	}
	if len(c.Decide) == 0 {
		return c
	}
	c.Errno = int(unix.EPERM)
	vm := d[int(n.Number)]
	if vm == nil {
		return c
	}
	// The machine loads words as they come over a network, the kernel as the processor has them, the lower half of an argument first:
	// both find the same when the words are laid out for the one and in the order of the other.
	var data [64]byte
	binary.BigEndian.PutUint32(data[0:], uint32(n.Number))
	binary.BigEndian.PutUint32(data[4:], n.Arch)
	for i, a := range n.Args {
		binary.BigEndian.PutUint32(data[16+8*i:], uint32(a))
		binary.BigEndian.PutUint32(data[20+8*i:], uint32(a>>32))
	}
	switch result, err := vm.Run(data[:]); {
	case err == nil && result == unix.SECCOMP_RET_ALLOW:
		c.Errno = 0
	case err == nil && result&^unix.SECCOMP_RET_DATA == unix.SECCOMP_RET_ERRNO && result&unix.SECCOMP_RET_DATA != 0:
		c.Errno = result & unix.SECCOMP_RET_DATA
	}
	if c.Errno != 0 && c.Refused != "" {
		c.Kind = c.Refused
	}
	return c
}
