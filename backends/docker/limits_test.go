package docker

import (
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/testing/dockerd"
	"github.com/sandtree/sandtree/testing/limitstest"
)

func TestLimits(t *testing.T) {
	dockerd.Host(t)
	limitstest.Run(t, func(t *testing.T) backends.Driver {
		d, err := New(testConfig(t))
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}
