package jail_test

import (
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/testing/limitstest"
)

func TestLimits(t *testing.T) {
	limitstest.Run(t, func(t *testing.T) backends.Driver { return open(t, t.TempDir()) })
}
