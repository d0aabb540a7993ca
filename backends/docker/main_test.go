package docker

import (
	"flag"
	"os"
	"testing"

	"github.com/sandtree/sandtree/testing/dockerd"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if !isSet("test.parallel") {
		flag.Set("test.parallel", "8") // the cases of the conformance suite wait most of their time
	}
	os.Exit(dockerd.Main(m))
}

func isSet(name string) bool {
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}
