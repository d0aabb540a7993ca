package sandbox

import "fmt"

// Exit is how a sandbox ended.
type Exit struct {
	Code   int    // of its first process; -1 if a signal ended it or nobody knows
	Signal int    // that ended it; 0 if none
	Memory bool   // it was killed for want of memory
	Reason string // in words, where the infrastructure gives one
}

func (e Exit) String() string {
	switch {
	case e.Memory:
		return "killed for want of memory"
	case e.Signal != 0:
		return fmt.Sprintf("killed by signal %d", e.Signal)
	case e.Reason != "":
		return e.Reason
	}
	return fmt.Sprintf("exited with code %d", e.Code)
}
