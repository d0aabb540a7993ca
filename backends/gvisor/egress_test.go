package gvisor_test

import (
	"strings"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/gvisor"
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
	need.GVisor(t)
	d, err := gvisor.New(gvisor.Config{StateDir: dir, Sandboxd: sandboxdtest.Binary(t), Companion: need.GVisor(t), OnConnection: hear})
	if err != nil {
		t.Fatal(err)
	}
	return backends.Open("gvisor", d, backends.Config{})
}

func TestEgress(t *testing.T) {
	leak.Check(t)
	confinedtest.Egress(t, hearing)
}

func TestReplaced(t *testing.T) { confinedtest.Replaced(t, hearing) }

func TestOwner(t *testing.T) { confinedtest.Owner(t, hearing) }

// TestNoNetwork has no way out at all, and a policy for it is refused.
func TestNoNetwork(t *testing.T) {
	b := backends.Open("gvisor", with(t, gvisor.Config{StateDir: t.TempDir(), Network: "none"}), backends.Config{})
	ends(t, b, "x", "y")
	_, err := b.Start(t.Context(), sandbox.Spec{ID: "y", Egress: sandbox.Egress{Mode: sandbox.EgressDenyAll}})
	if sandbox.CodeOf(err) != sandbox.Unsupported {
		t.Errorf("with a policy: %v", err)
	}
	s := began(t, b, sandbox.Spec{ID: "x"})
	if err := s.SetEgress(t.Context(), sandbox.Egress{Mode: sandbox.EgressDenyAll}); sandbox.CodeOf(err) != sandbox.Unsupported {
		t.Errorf("a policy later: %v", err)
	}
	got := run(t, s, `for a in 127.0.0.1:3128 192.0.2.1:80; do (exec 3<>/dev/tcp/${a/:/\/}) 2>&1 | grep -o 'refused\|unreachable' | head -1; done; python3 -c 'import socket as s
l = s.create_server(("127.0.0.1", 0)); c = s.create_connection(l.getsockname()); c.send(b"itself"); print(l.accept()[0].recv(9).decode())'`)
	if strings.Join(strings.Fields(got), " ") != "refused unreachable itself" {
		t.Errorf("it reaches %q", got)
	}
}
