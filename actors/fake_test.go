package actors

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/transport"
)

// memory is a Store in memory, with the journal's rules.
type memory struct {
	mu     sync.Mutex
	recs   []journal.Record
	rows   map[sandbox.ID]journal.RuntimeRow
	leases map[sandbox.ID]*memLease
	broken error         // what Append and Renew fail with, if set
	hangs  chan struct{} // what Append waits for, if set
	slow   time.Duration // how long Acquire takes
}

func newMemory() *memory {
	return &memory{rows: map[sandbox.ID]journal.RuntimeRow{}, leases: map[sandbox.ID]*memLease{}}
}

type memLease struct {
	m       *memory
	id      sandbox.ID
	epoch   uint64
	holder  string
	ttl     time.Duration
	expires time.Time
}

func (m *memory) Acquire(_ context.Context, id sandbox.ID, owner string, ttl time.Duration) (Lease, error) {
	time.Sleep(m.slow)
	m.mu.Lock()
	defer m.mu.Unlock()
	l := &memLease{m: m, id: id, epoch: 1, holder: owner, ttl: ttl, expires: time.Now().Add(ttl)}
	if old := m.leases[id]; old != nil {
		if old.holder != "" && old.holder != owner && time.Now().Before(old.expires) {
			return nil, failure(sandbox.Conflict, "acquire", id, "driven by "+old.holder)
		}
		l.epoch = old.epoch + 1
	}
	m.leases[id] = l
	return l, nil
}

func (l *memLease) Epoch() uint64 { return l.epoch }

func (l *memLease) Renew(context.Context) error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.m.broken != nil {
		return l.m.broken
	}
	if l.m.leases[l.id] != l {
		return failure(sandbox.Conflict, "renew", l.id, "lost")
	}
	l.expires = time.Now().Add(l.ttl)
	return nil
}

func (l *memLease) Release(context.Context) error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.holder = ""
	return nil
}

func (m *memory) holder(id sandbox.ID) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.leases[id].holder
}

func (m *memory) Append(_ context.Context, id sandbox.ID, epoch uint64, recs ...journal.Record) (uint64, error) {
	m.mu.Lock()
	if hangs := m.hangs; hangs != nil {
		m.mu.Unlock()
		<-hangs // as a disk does, whoever has given up
		m.mu.Lock()
	}
	defer m.mu.Unlock()
	if m.broken != nil {
		return 0, m.broken
	}
	if epoch < m.leases[id].epoch {
		return 0, failure(sandbox.Conflict, "append", id, "an old epoch")
	}
	for _, r := range recs {
		r.Runtime, r.Epoch, r.Seq = id, epoch, uint64(len(m.recs)+1)
		m.recs = append(m.recs, r)
	}
	return uint64(len(m.recs)), nil
}

func (m *memory) Log(ctx context.Context, id sandbox.ID, epoch uint64, recs ...journal.Record) error {
	_, err := m.Append(ctx, id, epoch, recs...)
	return err
}

func (m *memory) FindAction(_ context.Context, id sandbox.ID, actionID string) (a, o *journal.Record, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, r := range m.recs {
		switch {
		case r.ActionID != actionID || r.Runtime != id:
		case r.Type == journal.TypeAction && a == nil:
			a = &m.recs[i]
		case r.Type == journal.TypeObservation && o == nil:
			o = &m.recs[i]
		}
	}
	return a, o, nil
}

func (m *memory) Unsettled(_ context.Context, id sandbox.ID) (out []journal.Record, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.recs {
		if r.Runtime == id && r.Type == journal.TypeAction && !slices.ContainsFunc(m.recs, func(o journal.Record) bool {
			return o.Type == journal.TypeObservation && o.ActionID == r.ActionID
		}) {
			out = append(out, r)
		}
	}
	return out, nil
}

func (m *memory) Runtime(_ context.Context, id sandbox.ID) (journal.RuntimeRow, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	row, ok := m.rows[id]
	if !ok {
		return row, failure(sandbox.NotFound, "runtime", id, "never heard of")
	}
	return row, nil
}

func (m *memory) SaveRuntime(_ context.Context, row journal.RuntimeRow) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	row.Updated = time.Now()
	m.rows[row.ID] = row
	return nil
}

func (m *memory) LastActive(_ context.Context, id sandbox.ID) (last time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.recs {
		if r.Runtime == id && r.ActionID != "" {
			last = r.Time
		}
	}
	return last, nil
}

// history is what the store holds of a runtime, one word per record: statuses without their prefix, actions and observations by id.
func (m *memory) history(id sandbox.ID) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var words []string
	for _, r := range m.recs {
		if r.Runtime != id {
			continue
		}
		w := r.Type
		switch r.Type {
		case journal.TypeStatus:
			_, w, _ = strings.Cut(string(r.Body), `"id":"STATUS$`)
			w, _, _ = strings.Cut(w, `"`)
			if strings.Contains(string(r.Body), `"recovering":true`) {
				w += "(recovering)"
			}
			for _, how := range []Rest{Paused, Halted} {
				if strings.Contains(string(r.Body), fmt.Sprintf(`"idle":%q`, how)) {
					w = "(" + string(how) + ")"
				}
			}
		case journal.TypeAction:
			w = "+" + r.ActionID
		case journal.TypeObservation:
			w = "-" + r.ActionID
			if strings.Contains(string(r.Body), sandbox.ErrorInterrupted) {
				w += "(interrupted)"
			}
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// world is a backend whose sandboxes are goroutines, with a ledger and a shell that knows a few words.
type world struct {
	mu       sync.Mutex
	boxes    map[sandbox.ID]*box
	starts   int
	attaches int
	removes  int
	specs    []sandbox.Spec
	startErr error // of Start, if set
	forget   bool  // a dead sandbox is replaced by one that knows nothing
	hangs    int   // how many calls of Attach wait for the end of their context
}

// box is one sandbox. It outlives its connections and, if not forgotten, its death.
type box struct {
	mu       sync.Mutex
	dead     chan struct{} // closed when it dies
	exit     sandbox.Exit
	deaf     bool // does not answer
	egress   sandbox.Egress
	epoch    uint64
	answers  map[string]sandbox.Observation
	running  map[string]chan struct{}
	ran      []string // every command that was begun
	later    map[string]string
	files    map[string][]string            // directory → names
	replies  map[string]sandbox.Observation // command → what is seen
	signaled []string
	failing  string // a command with this in it exits with 3
	slow     string // a command with this in it takes an hour
	busy     bool   // the shell runs what took too long, until a key that it heeds
	heeds    string // the key
	halts    int
	stuck    bool // answers nothing about actions, but lives
	paused   bool
	pausing  time.Duration // how long Pause takes
	pauseErr error         // of Pause, if set
}

func newWorld() *world { return &world{boxes: map[sandbox.ID]*box{}} }

func (w *world) Name() string { return "world" }

func (w *world) box(id sandbox.ID) *box {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.boxes[id]
}

func (w *world) Start(_ context.Context, spec sandbox.Spec) (Sandbox, Birth, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.starts++
	w.specs = append(w.specs, spec)
	if w.startErr != nil {
		return nil, Birth{}, w.startErr
	}
	b := w.boxes[spec.ID]
	fresh := b == nil || w.forget
	if fresh {
		b = &box{answers: map[string]sandbox.Observation{}, files: map[string][]string{}, replies: map[string]sandbox.Observation{}}
		w.boxes[spec.ID] = b
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !fresh && !b.died() {
		b.epoch = max(b.epoch, spec.Epoch)
		return &line{box: b, dead: b.dead, closed: make(chan struct{}), epoch: spec.Epoch}, Birth{Found: true}, nil
	}
	b.dead, b.running, b.later, b.epoch = make(chan struct{}), map[string]chan struct{}{}, map[string]string{}, spec.Epoch
	return &line{box: b, dead: b.dead, closed: make(chan struct{}), epoch: spec.Epoch}, Birth{Forgetful: fresh}, nil
}

func (w *world) Attach(ctx context.Context, id sandbox.ID, epoch uint64) (Sandbox, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.attaches++
	if w.hangs > 0 {
		w.hangs--
		w.mu.Unlock()
		<-ctx.Done()
		w.mu.Lock()
		return nil, &sandbox.Error{Code: sandbox.Canceled, Op: "attach", Err: ctx.Err()}
	}
	b := w.boxes[id]
	if b == nil {
		return nil, failure(sandbox.NotFound, "attach", id, "none")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.died() {
		return nil, failure(sandbox.NotFound, "attach", id, "dead")
	}
	b.epoch, b.paused = max(b.epoch, epoch), false
	return &line{box: b, dead: b.dead, closed: make(chan struct{}), epoch: epoch}, nil
}

func (w *world) Remove(_ context.Context, id sandbox.ID, _ uint64, _ time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removes++
	if b := w.boxes[id]; b != nil {
		b.kill(sandbox.Exit{})
		delete(w.boxes, id)
	}
	return nil
}

// end kills all sandboxes, so that no goroutine is left.
func (w *world) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.boxes {
		b.kill(sandbox.Exit{})
	}
}

func (b *box) died() bool {
	select {
	case <-b.dead:
		return true
	default:
		return false
	}
}

func (b *box) kill(e sandbox.Exit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.died() {
		return
	}
	b.exit = e
	for id := range b.running {
		b.answers[id] = cutOff("killed")
	}
	close(b.dead)
}

func (b *box) commands() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.ran, "; ")
}

// isBusy says whether the command's answer is that something else runs: it took an hour, and has been waited for as long as
// its limit allows.
func (b *box) isBusy(command string, limit time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.busy && command == b.heeds:
		b.busy, b.slow = false, ""
	case !b.busy && b.heeds != "" && b.slow != "" && strings.Contains(command, b.slow):
		b.mu.Unlock()
		time.Sleep(limit)
		b.mu.Lock()
		b.busy = true
	}
	return b.busy
}

// line is a connection to a box.
type line struct {
	box    *box
	dead   chan struct{}
	epoch  uint64
	once   sync.Once
	closed chan struct{}
}

var errCut = errors.New("the line is dead")

func (l *line) Do(ctx context.Context, a sandbox.Action, out sandbox.Output) (sandbox.Observation, error) {
	b := l.box
	b.mu.Lock()
	switch {
	case l.gone():
		b.mu.Unlock()
		return sandbox.Observation{}, failure(sandbox.Unavailable, "do", "", "dead")
	case l.epoch < b.epoch:
		b.mu.Unlock()
		return sandbox.Observation{}, failure(sandbox.Conflict, "do", "", "fenced")
	}
	if seen, ok := b.answers[a.ID]; ok {
		b.mu.Unlock()
		return seen, nil
	}
	done, ok := b.running[a.ID]
	if !ok {
		done = make(chan struct{})
		b.running[a.ID] = done
		r, _ := a.Args.(sandbox.RunArgs)
		b.ran = append(b.ran, r.Command)
		go b.run(a.ID, r.Command, a.Timeout, done, b.dead, out)
	}
	b.mu.Unlock()
	return l.follow(ctx, a.ID, done)
}

// run performs a command: "sleep 10s", "echo words", "refuse CODE", anything else succeeds at once.
func (b *box) run(id, command string, limit time.Duration, done, dead chan struct{}, out sandbox.Output) {
	word, rest, _ := strings.Cut(command, " ")
	b.mu.Lock()
	if b.slow != "" && strings.Contains(command, b.slow) {
		word, rest = "sleep", "1h"
	}
	if b.failing != "" && strings.Contains(command, b.failing) {
		word, rest = "fail", "no luck"
	}
	b.mu.Unlock()
	seen := sandbox.Observation{Result: sandbox.RunResult{Command: command}}
	if b.isBusy(command, limit) {
		seen.Result = sandbox.RunResult{Command: command, Metadata: sandbox.RunMetadata{ExitCode: -1}}
		word = ""
	}
	switch word {
	case "sleep":
		d, _ := time.ParseDuration(rest)
		select {
		case <-time.After(d):
		case <-dead:
			return
		}
	case "work": // takes up to a second, the same for the same words
		h := fnv.New32()
		h.Write([]byte(rest))
		select {
		case <-time.After(time.Duration(h.Sum32()%1000) * time.Millisecond):
		case <-dead:
			return
		}
	case "echo":
		seen.Content = rest
		if out != nil {
			out(0, []byte(rest))
		}
	case "fail":
		seen.Content = rest
		seen.Result = sandbox.RunResult{Command: command, Metadata: sandbox.RunMetadata{ExitCode: 3}}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if r, ok := b.replies[command]; ok {
		seen = r
	}
	b.answers[id] = seen
	delete(b.running, id)
	close(done)
}

func (l *line) follow(ctx context.Context, id string, done chan struct{}) (sandbox.Observation, error) {
	var overdue <-chan time.Time
	l.box.mu.Lock()
	if l.box.stuck {
		overdue = time.After(time.Minute)
	}
	l.box.mu.Unlock()
	select {
	case <-overdue:
		return sandbox.Observation{}, &sandbox.Error{Code: sandbox.Lost, Op: "do", Err: transport.ErrOverdue}
	case <-done:
		l.box.mu.Lock()
		defer l.box.mu.Unlock()
		return l.box.answers[id], nil
	case <-ctx.Done():
		return sandbox.Observation{}, &sandbox.Error{Code: sandbox.Canceled, Op: "do", Err: ctx.Err()}
	case <-l.dead:
	case <-l.closed:
	}
	return sandbox.Observation{}, &sandbox.Error{Code: sandbox.Lost, Op: "do", Err: errCut}
}

func (l *line) Settle(ctx context.Context, id string, _ sandbox.Output) (sandbox.Observation, error) {
	b := l.box
	b.mu.Lock()
	if l.gone() {
		b.mu.Unlock()
		return sandbox.Observation{}, failure(sandbox.Unavailable, "settle", "", "dead")
	}
	seen, ok := b.answers[id]
	done, runs := b.running[id]
	if b.stuck {
		ok, runs, done = false, true, nil
	}
	b.mu.Unlock()
	switch {
	case ok:
		return seen, nil
	case runs:
		return l.follow(ctx, id, done)
	}
	return sandbox.Observation{}, failure(sandbox.NotFound, "settle", "", "never heard of")
}

func (l *line) gone() bool {
	select {
	case <-l.dead:
		return true
	case <-l.closed:
		return true
	default:
		return false
	}
}

func (l *line) life() error {
	l.box.mu.Lock()
	defer l.box.mu.Unlock()
	switch {
	case l.gone() || l.box.deaf:
		return failure(sandbox.Unavailable, "ping", "", "no answer")
	case l.epoch < l.box.epoch:
		return failure(sandbox.Conflict, "renew", "", "fenced")
	}
	return nil
}

func (l *line) SetEnv(_ context.Context, vars map[string]string) error {
	l.box.mu.Lock()
	defer l.box.mu.Unlock()
	maps.Copy(l.box.later, vars)
	return nil
}

func (l *line) Ping(context.Context) error  { return l.life() }
func (l *line) Renew(context.Context) error { return l.life() }

func (l *line) Interrupt(_ context.Context, id string) error {
	l.box.mu.Lock()
	defer l.box.mu.Unlock()
	l.box.signaled = append(l.box.signaled, id)
	return nil
}

func (l *line) Wait(ctx context.Context) (sandbox.Exit, error) {
	select {
	case <-l.dead:
		l.box.mu.Lock()
		defer l.box.mu.Unlock()
		return l.box.exit, nil
	case <-ctx.Done():
		return sandbox.Exit{}, &sandbox.Error{Code: sandbox.Canceled, Op: "wait", Err: ctx.Err()}
	}
}

func (l *line) Halt(context.Context) error {
	l.box.kill(sandbox.Exit{Signal: 9})
	l.box.mu.Lock()
	defer l.box.mu.Unlock()
	l.box.paused = false
	l.box.halts++
	l.box.busy, l.box.slow = false, ""
	return nil
}

// pauseWith says how long Pause takes, and what it fails with.
func (b *box) pauseWith(d time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pausing, b.pauseErr, b.paused = d, err, false
}

func (l *line) Pause(context.Context) error {
	l.box.mu.Lock()
	d := l.box.pausing
	l.box.mu.Unlock()
	time.Sleep(d)
	l.box.mu.Lock()
	defer l.box.mu.Unlock()
	if l.box.pauseErr == nil {
		l.box.paused = true
	}
	return l.box.pauseErr
}

func (l *line) Close() error         { l.once.Do(func() { close(l.closed) }); return nil }
func (l *line) Unenforced() []string { return []string{"cpu"} }
func (l *line) BreakerState() string { return "closed" }

func (l *line) SetEgress(_ context.Context, e sandbox.Egress) error {
	if e.Mode == sandbox.EgressAllowAll {
		return failure(sandbox.Unsupported, "egress", "", "a fake")
	}
	l.box.mu.Lock()
	defer l.box.mu.Unlock()
	l.box.egress = e
	return nil
}

func (l *line) Traffic() (sandbox.Traffic, error) { return sandbox.Traffic{}, nil }

func (l *line) List(_ context.Context, path string) ([]string, error) {
	l.box.mu.Lock()
	defer l.box.mu.Unlock()
	names, ok := l.box.files[path]
	if !ok {
		return nil, failure(sandbox.NotFound, "list", "", fmt.Sprintf("no %s", path))
	}
	return names, nil
}

func (l *line) Get(context.Context, string, io.Writer) error     { return nil }
func (l *line) Put(context.Context, string, io.Reader) error     { return nil }
func (l *line) GetTree(context.Context, string, io.Writer) error { return nil }
func (l *line) PutTree(context.Context, string, io.Reader) error { return nil }
func (l *line) Terminal(context.Context, uint16, uint16) (*transport.Terminal, error) {
	return nil, failure(sandbox.Unsupported, "terminal", "", "a fake")
}
