package jail_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// heard is what a controller was told.
type heard struct {
	mu      sync.Mutex
	records []sandbox.AuditRecord
	rung    chan struct{}
}

func newHeard() *heard { return &heard{rung: make(chan struct{}, 1)} }

func (h *heard) tell(_ sandbox.ID, r sandbox.AuditRecord) {
	h.mu.Lock()
	h.records = append(h.records, r)
	h.mu.Unlock()
	select {
	case h.rung <- struct{}{}:
	default:
	}
}

func (h *heard) all() []sandbox.AuditRecord {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.records)
}

// until waits for records of which enough says that it has seen what it waits for.
func (h *heard) until(t testing.TB, what string, enough func([]sandbox.AuditRecord) bool) []sandbox.AuditRecord {
	t.Helper()
	late := time.After(2 * time.Minute)
	for {
		if all := h.all(); enough(all) {
			return all
		}
		select {
		case <-h.rung:
		case <-late:
			t.Fatalf("never heard of %s, but of %s", what, words(h.all()))
		}
	}
}

func words(records []sandbox.AuditRecord) string {
	var b strings.Builder
	for _, r := range records {
		fmt.Fprintf(&b, "\n%s %s %s %.60q", r.Kind, r.Call, r.Path, r.Argv)
		if r.Process != nil {
			fmt.Fprintf(&b, " %+v", *r.Process)
		}
		fmt.Fprintf(&b, " denied %q missing %v untold %d", r.Denied, r.Missing, r.Untold)
	}
	return b.String()
}

// of gives those that f is true of.
func of(records []sandbox.AuditRecord, f func(sandbox.AuditRecord) bool) (some []sandbox.AuditRecord) {
	for _, r := range records {
		if f(r) {
			some = append(some, r)
		}
	}
	return some
}

// started says whether r is the start of a program with that argument.
func started(argument string) func(sandbox.AuditRecord) bool {
	return func(r sandbox.AuditRecord) bool {
		return r.Kind == sandbox.AuditExec && slices.Contains(r.Argv, argument)
	}
}

// audited opens a backend that tells h.
func audited(t testing.TB, dir string, h *heard) *backends.Backend {
	t.Helper()
	need.Jail(t)
	d, err := jail.New(jail.Config{StateDir: dir, Sandboxd: sandboxdtest.Binary(t), OnAudit: h.tell})
	if err != nil {
		t.Fatal(err)
	}
	if names, lacks := d.Audits(); len(names) == 0 {
		t.Skip(lacks)
	}
	return backends.Open("jail", d, backends.Config{})
}

// TestAuditExec has programs start each other: each is told once, with its number, its parent's, its user and arguments.
func TestAuditExec(t *testing.T) {
	leak.Check(t)
	h := newHeard()
	b := audited(t, t.TempDir(), h)
	ends(t, b, "x")
	s := began(t, b, sandbox.Spec{ID: "x", Audit: sandbox.Audit{Exec: true}})
	out := run(t, s, `bash -c 'echo $$; /bin/sh -c "echo \$\$ \$PPID; exec /bin/echo leaf-$1" first; /usr/bin/env echo last-$1; true' outer 7`)
	all := h.until(t, "the last program", func(all []sandbox.AuditRecord) bool { return len(of(all, started("last-7"))) > 0 })
	for _, argument := range []string{"outer", "first", "leaf-7"} {
		if n := len(of(all, started(argument))); n != 1 {
			t.Errorf("%q is told %d times in%s", argument, n, words(all))
		}
	}
	if t.Failed() {
		return
	}
	outer, first, leaf := of(all, started("outer"))[0], of(all, started("first"))[0], of(all, started("leaf-7"))[0]
	want := fmt.Sprintf("%d\n%d %d\nleaf-7", outer.Process.PID, first.Process.PID, first.Process.PPID)
	if !strings.HasPrefix(strings.ReplaceAll(out, "\r", ""), want) || first.Process.PPID != outer.Process.PID {
		t.Errorf("the programs said %q, and told was %q", out, want)
	}
	if leaf.Process.PID != first.Process.PID || leaf.Path != "/bin/echo" || outer.Process.UID != 1000 || leaf.Missing || leaf.Time.IsZero() {
		t.Errorf("told was %s", words(all))
	}
}
