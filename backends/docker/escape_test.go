package docker

import (
	"path/filepath"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/dockerd"
	"github.com/sandtree/sandtree/testing/escape"
)

// TestEscape tries to get out of containers that are as tight as the configuration can make them.
func TestEscape(t *testing.T) {
	dockerd.Host(t)
	c := testConfig(t)
	c.ReadOnly = true
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	escape.Run(t, d, escape.Options{
		Secrets: []string{filepath.Join(c.StateDir, "docker"), "/var/run/docker.sock", "/run/containerd", c.Host[len("unix://"):]},
		Memory:  true,
		// Engines mount the host's directories without nosuid. No program here can gain by it: no_new_privs, which TestTight
		// looks for, has the kernel ignore the bit.
		Tolerate: []string{"privileges by a setuid program"},
		Server: func(id sandbox.ID) int {
			l, err := d.home(id).read()
			if err != nil {
				t.Fatal(err)
			}
			return must(d.engine.ContainerInspect(t.Context(), l.Container)).State.Pid
		},
	})
}
