package jail

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/audit"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// ear hears the keeper of one living sandbox (see package audit), for as long as this process has it.
type ear struct {
	d      *Driver
	home   home
	label  label
	server *held.Process
	stop   context.CancelFunc
	done   chan struct{} // closed when it hears no more
	files  *audit.Follow // that it tells the changes of; nil if it does not

	telling sync.Mutex // held while somebody is told

	mu    sync.Mutex
	epoch uint64 // the highest for which this process has had the sandbox
}

func (e *ear) raise(epoch uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.epoch = max(e.epoch, epoch)
}

// current says whether nobody has the sandbox for a higher epoch.
func (e *ear) current() bool {
	l, err := e.home.read()
	e.mu.Lock()
	defer e.mu.Unlock()
	return err == nil && l.Mark == e.label.Mark && l.Epoch <= e.epoch
}

// hear makes this process hear what there is to tell of a sandbox. Where nobody here wants to know, it still sees to it that there is
// somebody who answers. It does nothing if it does so already. It waits, as long as ctx lasts and a start has time, until it is known
// what files there are.
func (d *Driver) hear(ctx context.Context, h home, l label, p *held.Process) {
	if l.Audit.IsZero() || d.config.OnAudit == nil && !asks(l.Audit) {
		return
	}
	if e := d.ear(h, l, p); e != nil && e.files != nil {
		e.files.Await(ctx)
	}
}

// ear gives the one of a living process; nil if it has ended.
func (d *Driver) ear(h home, l label, p *held.Process) *ear {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.homes.Holds(p) { // else what is put among the ears is found when it ends
		return nil
	}
	if e := d.ears[p.Identity]; e != nil {
		e.raise(l.Epoch)
		select {
		case <-e.done: // another process had it meanwhile
		default:
			return e
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	e := &ear{d: d, home: h, label: l, server: p, stop: stop, done: make(chan struct{}), epoch: l.Epoch}
	if f := l.Audit.Files; d.config.OnAudit != nil && (f == sandbox.AuditFilesChanged || f == sandbox.AuditFilesAll) {
		// Of a server that has ended the number may be another's.
		e.files = audit.NewFollow(d.looks, e.workspace(), p.Alive, e.tellOne)
	}
	if !d.homes.Begin(func() {
		defer stop()
		defer close(e.done)
		e.run(ctx)
	}) {
		stop()
		return nil
	}
	d.ears[p.Identity] = e
	return e
}

// run returns when the sandbox has ended, or another process has it.
func (e *ear) run(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	a := e.label.Audit
	if e.files != nil {
		wg.Go(func() { e.followChanges(ctx) })
	}
	if a.Limits && e.d.config.OnAudit != nil {
		wg.Go(func() { e.countHits(ctx) })
	}
	if asks(a) {
		e.attend(ctx)
		if e.server.Alive() { // it is another's now
			stop()
		}
	}
	wg.Wait()
}

// tell tells of records, and says why they were not taken.
func (e *ear) tell(records []sandbox.AuditRecord) error {
	e.telling.Lock()
	defer e.telling.Unlock()
	return e.d.config.OnAudit(e.label.ID, records)
}

// tellOne tells what this process has seen itself.
func (e *ear) tellOne(r sandbox.AuditRecord) error {
	if r.Time.IsZero() {
		r.Time = time.Now().UTC()
	}
	return e.tell([]sandbox.AuditRecord{r})
}

// finish returns when what was left to tell of a sandbox that has ended has been told.
func (e *ear) finish() {
	t := time.AfterFunc(audit.Farewell+time.Second, e.stop)
	defer t.Stop()
	<-e.done
}

// close returns when it hears no more.
func (e *ear) close() {
	e.stop()
	<-e.done
}

// Audits names what can be told of programs in jails.
func (d *Driver) Audits() (names []string, lacks error) {
	if err := audit.Available(); err != nil {
		return nil, err
	}
	names = []string{backends.AuditExec, backends.AuditPrivileges, backends.AuditFilesChanged, backends.AuditFilesAll, backends.AuditSyscalls}
	if homes.Tree().Has(cgroup.Memory) && homes.Tree().Has(cgroup.PIDs) {
		return append(names, backends.AuditLimits), nil
	}
	return names, errors.New("which limits are hit is counted by control groups, and this process can make none")
}

// finish ends the ear of a server that has ended.
func (d *Driver) finish(p *held.Process) {
	d.mu.Lock()
	e := d.ears[p.Identity]
	delete(d.ears, p.Identity) // of a closed driver they are nil, which is fine
	d.mu.Unlock()
	if e != nil {
		e.finish()
	}
}

// closeEars lets go of all sandboxes that are heard.
func (d *Driver) closeEars() {
	d.mu.Lock()
	ears := d.ears
	d.ears = nil
	d.mu.Unlock()
	for _, e := range ears {
		e.close()
	}
}
