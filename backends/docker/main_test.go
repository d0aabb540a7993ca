package docker

import (
	"os"
	"testing"

	"github.com/sandtree/sandtree/testing/dockerd"
)

func TestMain(m *testing.M) { os.Exit(dockerd.Main(m)) }
