package backends_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/pipenet"
)

// heated is a resident cloud that starts things before it is asked.
type heated struct{ resident }

func (heated) Shape(s sandbox.Spec) (string, bool) { return s.Limits.Ports, s.Limits.Ports != "none" }

func (h heated) Warm(context.Context, sandbox.Spec) (backends.Blank, error) {
	if len(h.fail) > 0 {
		err := h.fail[0]
		h.fail = h.fail[1:]
		return nil, err
	}
	return &blank{of: h, alive: true}, nil
}

type blank struct {
	of      heated
	alive   bool
	adopted int
}

func (b *blank) Alive() bool { return b.alive }

func (b *blank) Adopt(ctx context.Context, s sandbox.Spec) (backends.Instance, error) {
	b.alive = false
	b.adopted++
	return b.of.Start(ctx, s)
}

func (b *blank) Stop(context.Context, time.Duration) error {
	b.alive = false
	return nil
}

func TestWarm(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "admission")
		admission, err := backends.OpenAdmission(backends.AdmissionConfig{Dir: dir, Host: host})
		if err != nil {
			t.Fatal(err)
		}
		promised := func() int {
			names, _ := filepath.Glob(filepath.Join(dir, "cloud@*"))
			return len(names)
		}
		c := newCloud(t)
		var ready backends.Blank
		var asked []string
		b := backends.Open("cloud", heated{resident{c}}, backends.Config{Admission: admission,
			Claim: func(backend, shape string, spec sandbox.Spec) backends.Blank {
				asked = append(asked, backend+" "+shape+" "+string(spec.ID))
				claimed := ready
				ready = nil
				return claimed
			}})
		warm, err := b.Warm(t.Context(), sandbox.Spec{})
		if err != nil {
			t.Fatal(err)
		}
		ready = warm
		if n := promised(); n != 1 {
			t.Errorf("a warm one counts as %d sandboxes", n)
		}
		if err := start(t, b, "a", sandbox.Limits{}); err != nil {
			t.Fatal(err)
		}
		if warm.Alive() || promised() != 1 {
			t.Errorf("claimed, it lives: %v, and %d are counted", warm.Alive(), promised())
		}
		if err := start(t, b, "b", sandbox.Limits{}); err != nil {
			t.Errorf("with none warm: %v", err)
		}
		if len(asked) != 2 || asked[0] != "cloud  a" || asked[1] != "cloud  b" {
			t.Errorf("it was asked for %q", asked)
		}
		if warm, err = b.Warm(t.Context(), sandbox.Spec{}); err != nil || promised() != 3 {
			t.Fatalf("%v, %d", err, promised())
		}
		if err := warm.Stop(t.Context(), 0); err != nil || promised() != 2 {
			t.Errorf("%v, %d", err, promised())
		}
		c.fail = []error{failure(sandbox.Unavailable)}
		if _, err := b.Warm(t.Context(), sandbox.Spec{}); sandbox.CodeOf(err) != sandbox.Unavailable || promised() != 2 {
			t.Errorf("one that fails: %v, %d", err, promised())
		}
		_ = os.RemoveAll(dir)
		if _, err := backends.Open("cloud", c, backends.Config{}).Warm(t.Context(), sandbox.Spec{}); sandbox.CodeOf(err) != sandbox.Unsupported {
			t.Errorf("of a driver that cannot: %v", err)
		}
	})
}
