package sandbox

import (
	"fmt"
	"time"
)

// Idle says when a sandbox rests that nobody uses. Zero leaves it to whoever drives the sandbox, negative is never.
//
// Nobody uses it while no action runs or waits and no stream to it (a terminal, a file on its way) is open. What programs do
// in the background does not count.
type Idle struct {
	// PauseAfter is how long it is unused before it is paused: its processes stop where they are and keep their memory.
	PauseAfter time.Duration `json:"pause_after,omitempty"` // nanoseconds in JSON
	// StopAfter is how long before it is stopped: its processes end. Its files are kept.
	StopAfter time.Duration `json:"stop_after,omitempty"`
}

// Check says whether i makes sense by itself; the error names the field.
func (i Idle) Check() error {
	if i.PauseAfter > 0 && i.StopAfter > 0 && i.StopAfter <= i.PauseAfter {
		return fmt.Errorf("stop_after: want more than pause_after, %v, have %v", i.PauseAfter, i.StopAfter)
	}
	return nil
}

// Or is i with what it leaves open taken from usual.
func (i Idle) Or(usual Idle) Idle {
	if i.PauseAfter == 0 {
		i.PauseAfter = usual.PauseAfter
	}
	if i.StopAfter == 0 {
		i.StopAfter = usual.StopAfter
	}
	return i
}
