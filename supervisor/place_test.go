package supervisor_test

import (
	"log"
	"testing"

	"github.com/sandtree/sandtree/supervisor"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// place is a fresh state directory, and the path of sandboxd, built from this tree.
func place() (dir, sandboxd string) {
	dir, err := supervisor.DirOfExample()
	if err != nil {
		log.Fatal(err)
	}
	return dir, sandboxdtest.Binary(exampleT{})
}

// exampleT is the testing.TB of an example, which has none.
type exampleT struct{ testing.TB }

func (exampleT) Helper()        {}
func (exampleT) Fatal(a ...any) { log.Fatal(a...) }
