package jail_test

import (
	"errors"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// TestAuditKilledKeeperUntaken kills who watches while what it has told is not taken: there is another one, and programs start.
func TestAuditKilledKeeperUntaken(t *testing.T) {
	need.Jail(t)
	h := newHeard()
	var once sync.Once
	killed := make(chan struct{})
	tell := func(id sandbox.ID, records []sandbox.AuditRecord) (err error) {
		once.Do(func() {
			for late := time.Now().Add(time.Minute); len(keepers(t)) > 0 && time.Now().Before(late); time.Sleep(time.Millisecond) {
				for _, pid := range keepers(t) {
					syscall.Kill(pid, syscall.SIGKILL)
				}
			}
			close(killed)
			err = errors.New("the disk is full")
		})
		if err != nil {
			return err
		}
		return h.tell(id, records)
	}
	d, err := jail.New(jail.Config{StateDir: t.TempDir(), Sandboxd: sandboxdtest.Binary(t), OnAudit: tell})
	if err != nil {
		t.Fatal(err)
	}
	if names, lacks := d.Audits(); len(names) == 0 {
		t.Skip(lacks)
	}
	b := backends.Open("jail", d, backends.Config{})
	ends(t, b, "x")
	s := began(t, b, sandbox.Spec{ID: "x", Audit: sandbox.Audit{Exec: true}})
	defer s.Close()
	run(t, s, "/bin/echo one")
	<-killed
	if got := run(t, s, "/bin/echo on"); got != "on" {
		t.Errorf("it said %q", got)
	}
	h.until(t, "what the next one has seen", func(all []sandbox.AuditRecord) bool { return len(of(all, executed("on"))) > 0 })
}
