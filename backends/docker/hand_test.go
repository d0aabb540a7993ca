package docker

import (
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/dockerd"
)

// TestBlankWithoutLink has a blank whose directory cannot be found by its old name: nothing of its way out stays open.
func TestBlankWithoutLink(t *testing.T) {
	dockerd.Host(t)
	c := testConfig(t)
	c.Network = networkFiltered
	d, _ := opened(t, c)
	w, err := d.Warm(t.Context(), sandbox.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	b := w.(*blank)
	defer func() {
		if err := b.Stop(t.Context(), 0); err != nil {
			t.Error(err)
		}
	}()
	if b.way == nil || b.way.doors.Connect == nil {
		t.Fatal("it has no way out")
	}
	l := b.label
	l.ID, l.Blank = "x", strings.Repeat("x", 300) // longer than a name can be
	if _, err := b.hand(t.Context(), l, sandbox.Spec{ID: "x"}); err == nil {
		t.Fatal("it is handed over")
	}
	d.mu.Lock()
	left := len(d.ways)
	d.mu.Unlock()
	if left > 0 {
		t.Errorf("%d ways are left", left)
	}
	if err := b.way.doors.Connect.Close(); err == nil {
		t.Error("its doors are open")
	}
}
