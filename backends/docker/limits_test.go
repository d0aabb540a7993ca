package docker

import (
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/testing/dockerd"
	"github.com/sandtree/sandtree/testing/limitstest"
	"github.com/sandtree/sandtree/testing/need"
)

// Containers whose network is filtered keep all limits that others keep, and those of the network.
func TestLimits(t *testing.T) {
	need.Root(t)
	dockerd.Host(t)
	limitstest.Run(t, func(t *testing.T) backends.Driver {
		c := testConfig(t)
		c.Network = networkFiltered
		d, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}
