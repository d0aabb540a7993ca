package jail_test

import (
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/confinedtest"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

var run, began, ends = confinedtest.Run, confinedtest.Began, confinedtest.Ends

// hearing opens the backend, whose sandboxes' connections hear hears of.
func hearing(t testing.TB, dir string, hear func(sandbox.ID, sandbox.Connection)) *backends.Backend {
	t.Helper()
	need.Jail(t)
	d, err := jail.New(jail.Config{StateDir: dir, Sandboxd: sandboxdtest.Binary(t), OnConnection: hear})
	if err != nil {
		t.Fatal(err)
	}
	return backends.Open("jail", d, backends.Config{})
}

func TestEgress(t *testing.T) {
	leak.Check(t)
	confinedtest.Egress(t, hearing)
}

func TestReplaced(t *testing.T) { confinedtest.Replaced(t, hearing) }

func TestOwner(t *testing.T) { confinedtest.Owner(t, hearing) }
