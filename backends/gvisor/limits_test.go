package gvisor_test

import (
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/testing/limitstest"
	"github.com/sandtree/sandtree/testing/need"
)

func TestLimits(t *testing.T) {
	need.GVisor(t)
	limitstest.Run(t, func(t *testing.T) backends.Driver { return open(t, t.TempDir()) })
}
