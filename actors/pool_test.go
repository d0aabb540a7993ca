package actors

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// heater is a backend whose warm sandboxes take a second to start. A spec's shape is the ports it may connect to.
type heater struct {
	mu        sync.Mutex
	err       error
	started   int
	blanks    []*fakeBlank
	stillborn bool
	atOnce    int // that are being started
	most      int // of those
}

func (h *heater) Name() string { return "heater" }

func (h *heater) Shape(s sandbox.Spec) (string, bool) { return s.Limits.Ports, true }

func (h *heater) Warm(ctx context.Context, s sandbox.Spec) (backends.Blank, error) {
	h.mu.Lock()
	h.atOnce++
	h.most = max(h.most, h.atOnce)
	h.mu.Unlock()
	time.Sleep(time.Second)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.atOnce--
	h.started++
	if h.err != nil {
		return nil, h.err
	}
	b := &fakeBlank{shape: s.Limits.Ports, spec: s, alive: !h.stillborn}
	h.blanks = append(h.blanks, b)
	return b, nil
}

func (h *heater) all() []*fakeBlank {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.blanks)
}

func (h *heater) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

func (h *heater) count() (started, alive int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range h.blanks {
		if b.Alive() {
			alive++
		}
	}
	return h.started, alive
}

type fakeBlank struct {
	shape string
	spec  sandbox.Spec
	mu    sync.Mutex
	alive bool
	stops int
}

func (b *fakeBlank) Alive() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.alive
}

func (b *fakeBlank) Adopt(context.Context, sandbox.Spec) (backends.Instance, error) { return nil, nil }

func (b *fakeBlank) Stop(context.Context, time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.alive = false
	b.stops++
	return nil
}

func pooled(t *testing.T, least, most int, f func(t *testing.T, h *heater, p *Pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &heater{}
		p := NewPool(PoolConfig{Backend: h, Least: least, Most: most, Recent: time.Minute})
		sys := kit.NewSystem(kit.Config{})
		if _, err := kit.Spawn(sys, "root", kit.Permanent, kit.Group(nil, p.Member())); err != nil {
			t.Fatal(err)
		}
		f(t, h, p)
		if err := sys.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
		if p.Claim("", sandbox.Spec{}) != nil {
			t.Error("a closed pool gives something")
		}
		for _, b := range h.all() {
			if b.Alive() {
				t.Error("a warm sandbox has outlived the pool")
			}
		}
	})
}

func stock(p *Pool) (s string) {
	synctest.Wait()
	for _, x := range p.Stock() {
		s += fmt.Sprintf("%s:%d/%d ", x.Shape, x.Warm, x.Wanted)
	}
	return s
}

func expectStock(t *testing.T, p *Pool, want string) {
	t.Helper()
	if got := stock(p); got != want {
		t.Errorf("it has %q, want %q", got, want)
	}
}

func ask(p *Pool, ports string) *fakeBlank {
	b := p.Claim(ports, sandbox.Spec{ID: "x", Env: map[string]string{"SECRET": "1"}, Limits: sandbox.Limits{Ports: ports}})
	if b == nil {
		return nil
	}
	return b.(*fakeBlank)
}

func TestPoolFillsOneByOne(t *testing.T) {
	pooled(t, 2, 4, func(t *testing.T, h *heater, p *Pool) {
		if ask(p, "") != nil {
			t.Error("there is one at once")
		}
		time.Sleep(time.Minute / 2)
		expectStock(t, p, ":2/2 ")
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.most != 1 {
			t.Errorf("%d were started at once", h.most)
		}
	})
}

func TestPoolGivesEachOnce(t *testing.T) {
	pooled(t, 2, 4, func(t *testing.T, h *heater, p *Pool) {
		time.Sleep(time.Minute)
		a, b, c := ask(p, ""), ask(p, ""), ask(p, "")
		if a == nil || b == nil || a == b || c != nil {
			t.Fatalf("it gives %p, %p and %p", a, b, c)
		}
		time.Sleep(10 * time.Second)
		expectStock(t, p, ":3/3 ") // three were asked for
		for _, b := range h.all() {
			if b.spec.ID != "" || b.spec.Env != nil {
				t.Errorf("one was started knowing %+v", b.spec)
			}
		}
		time.Sleep(2 * time.Minute) // and nobody asks any more
		expectStock(t, p, ":2/2 ")
		if _, alive := h.count(); alive != 4 { // those that were given, and those that wait
			t.Errorf("%d live", alive)
		}
		_, _ = a.Stop(t.Context(), 0), b.Stop(t.Context(), 0)
	})
}

func TestPoolFollowsDemandBetweenBounds(t *testing.T) {
	pooled(t, 0, 3, func(t *testing.T, h *heater, p *Pool) {
		time.Sleep(time.Hour)
		expectStock(t, p, "")
		for range 10 {
			ask(p, "80")
		}
		ask(p, "443")
		time.Sleep(20 * time.Second)
		if got := stock(p); got != "443:1/1 80:2/3 " && got != "443:0/1 80:3/3 " {
			t.Errorf("it has %q", got)
		}
		time.Sleep(time.Minute)
		expectStock(t, p, "")
		if _, alive := h.count(); alive != 0 {
			t.Errorf("%d live that nobody has asked for", alive)
		}
	})
}

func TestPoolYields(t *testing.T) {
	pooled(t, 2, 4, func(t *testing.T, h *heater, p *Pool) {
		h.fail(failure(sandbox.Exhausted, "warm", "", "no room"))
		time.Sleep(10 * time.Minute)
		for range 100 { // wishes make it no more pressing
			ask(p, "")
		}
		time.Sleep(time.Second)
		if started, _ := h.count(); started > 20 {
			t.Errorf("%d were tried in ten minutes without room", started)
		}
		h.fail(nil)
		time.Sleep(lastPause + 10*time.Second) // the wishes are forgotten by then
		expectStock(t, p, ":2/2 ")
	})
}

func TestPoolReplacesTheDead(t *testing.T) {
	pooled(t, 2, 4, func(t *testing.T, h *heater, p *Pool) {
		time.Sleep(time.Minute)
		for _, b := range h.all() {
			_ = b.Stop(t.Context(), 0)
		}
		if b := ask(p, ""); b != nil {
			t.Error("it gives a dead one")
		}
		time.Sleep(10 * time.Second)
		expectStock(t, p, ":2/2 ")
	})
}

// One that ends as soon as it is started, say since its program is too old to wait, is not started all the time.
func TestPoolOfWhatDoesNotLive(t *testing.T) {
	pooled(t, 2, 4, func(t *testing.T, h *heater, p *Pool) {
		h.mu.Lock()
		h.stillborn = true
		h.mu.Unlock()
		for range 60 {
			if ask(p, "") != nil {
				t.Error("it gives a dead one")
			}
			time.Sleep(time.Second)
		}
		if started, _ := h.count(); started > 60 {
			t.Errorf("%d were started in a minute", started)
		}
	})
}

func TestPoolOfNone(t *testing.T) {
	pooled(t, 5, 0, func(t *testing.T, h *heater, p *Pool) {
		ask(p, "")
		time.Sleep(time.Hour)
		if started, _ := h.count(); started != 0 {
			t.Errorf("%d were started", started)
		}
	})
}
