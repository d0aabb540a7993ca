package journal

import (
	"encoding/json"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// The types of record.
const (
	TypeAction      = "action"      // an action about to be sent; Body is the event in the OpenHands form
	TypeObservation = "observation" // what was seen; Body is the event
	TypeStatus      = "status"      // a change of status
	TypeRestart     = "restart"     // the runtime died and is started again
	TypeSpec        = "spec"        // what was asked for, secrets masked
	TypeAudit       = "audit"       // who did or was refused what
	TypeNote        = "note"        // what is recorded only, such as an action that no sandbox performs
)

// A Record is one event in the history of a runtime. Records do not change once appended.
type Record struct {
	Runtime  sandbox.ID      `json:"runtime"`
	Seq      uint64          `json:"seq"`  // from 1, without gaps; given by Append
	Time     time.Time       `json:"time"` // to the nanosecond, UTC; Append gives its own where it is zero
	Type     string          `json:"type"`
	ActionID string          `json:"action_id,omitempty"` // the action it is about
	Epoch    uint64          `json:"epoch"`               // of the writer
	Body     json.RawMessage `json:"body"`                // valid JSON, which nobody checks; nil is null
}

// MaxBody bounds the body of one record, and the bodies of one Append together: 64 MiB. Output is cut long before.
const MaxBody = 64 << 20

const maxType = 32 // bytes

func check(recs []Record) error {
	size := 0
	for i := range recs {
		r := &recs[i]
		if r.Type == "" || len(r.Type) > maxType {
			return refuse(sandbox.Invalid, "type: want 1 to %d bytes, have %d", maxType, len(r.Type))
		}
		if r.ActionID != "" {
			if err := sandbox.CheckActionID(r.ActionID); err != nil {
				return err
			}
		}
		if size += len(r.Body); size > MaxBody {
			return refuse(sandbox.Invalid, "body: want at most %d bytes at a time", MaxBody)
		}
	}
	return nil
}
