package sandbox

import (
	"context"
	"errors"
)

// Code says what the caller of a failed operation can do about it. The wire carries it, so an error means the same
// on both sides.
type Code string

// The codes.
const (
	Invalid     Code = "invalid"     // the request can never succeed: fix it
	NotFound    Code = "not_found"   // no such sandbox, session or path: create it or forget it
	Conflict    Code = "conflict"    // exists already, or is in the wrong state: re-read, decide again
	Denied      Code = "denied"      // credentials or policy: ask a person
	Exhausted   Code = "exhausted"   // quota, pool or mailbox full: back off, then retry
	Unavailable Code = "unavailable" // never reached the sandbox: safe to retry anything
	Lost        Code = "lost"        // reached it, answer not seen: retry only what is idempotent
	Unsupported Code = "unsupported" // this backend cannot: choose another
	Canceled    Code = "canceled"    // the caller's own context ended: nothing to do
	Internal    Code = "internal"    // a bug on this side: report it
)

// Codes lists every code, for those that check a word from outside.
var Codes = []Code{Invalid, NotFound, Conflict, Denied, Exhausted, Unavailable, Lost, Unsupported, Canceled, Internal}

// Error is the one error type that crosses a package boundary.
type Error struct {
	Code Code
	Op   string // what was tried, as "docker.Start"
	ID   ID     // the sandbox concerned; "" if none
	Err  error  // the cause; may be nil
}

// Error reads "op: id: cause (code)". What a cause of this type says again, the code and the id, is said once.
func (e *Error) Error() string { return e.text("") + " (" + string(e.Code) + ")" }

// text is the error without its code, and without its id if that is outer.
func (e *Error) text(outer ID) string {
	s := e.Op
	if e.ID != "" && e.ID != outer {
		s += ": " + string(e.ID)
	}
	if cause, ok := e.Err.(*Error); ok && cause.Code == e.Code {
		return s + ": " + cause.text(e.ID)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf is the code of the outermost *Error in err's chain; a bare context error is Canceled, nil is "",
// and anything else Internal.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Canceled
	}
	return Internal
}
