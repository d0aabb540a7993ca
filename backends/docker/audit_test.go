package docker

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// TestAudit runs into the limit of the memory and changes files: both are told. What cannot be is refused.
func TestAudit(t *testing.T) {
	c := testConfig(t)
	var mu sync.Mutex
	var heard []sandbox.AuditRecord
	refused := 0
	rung := make(chan struct{}, 1)
	c.OnAudit = func(id sandbox.ID, records []sandbox.AuditRecord) error {
		mu.Lock()
		defer mu.Unlock()
		if refused == 0 { // as a journal does whose disk is full
			refused++
			return errors.New("not now")
		}
		if id == "audited" {
			heard = append(heard, records...)
		}
		select {
		case rung <- struct{}{}:
		default:
		}
		return nil
	}
	_, b := opened(t, c)
	s, _ := started(t, b, sandbox.Spec{ID: "audited", Limits: sandbox.Limits{Memory: 64 << 20},
		Audit: sandbox.Audit{Limits: true, Files: sandbox.AuditFilesChanged}})
	run(t, s, "echo x >new; python3 -c 'a = bytearray(1 << 30)'; true")
	late := time.After(patience)
	told := func(f func(sandbox.AuditRecord) bool) bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.ContainsFunc(heard, f)
	}
	for !told(func(r sandbox.AuditRecord) bool { return r.Limit == backends.LimitMemory && r.Times > 0 }) ||
		!told(func(r sandbox.AuditRecord) bool {
			return slices.Contains(r.Changes, sandbox.FileChange{Path: "new", Change: sandbox.FileAdded})
		}) {
		select {
		case <-rung:
		case <-late:
			t.Fatalf("told was %+v", heard)
		}
	}
	if _, err := b.Start(t.Context(), sandbox.Spec{ID: "more", Audit: sandbox.Audit{Exec: true}}); sandbox.CodeOf(err) != sandbox.Unsupported {
		t.Errorf("what an engine cannot tell: %v", err)
	}
}
