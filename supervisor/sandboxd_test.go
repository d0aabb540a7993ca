package supervisor_test

import (
	"log"
	"testing"

	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// sandboxd is the server's program, built from this tree. An example has no testing.TB, so it is given one that ends it.
func sandboxd() string { return sandboxdtest.Binary(exampleT{}) }

type exampleT struct{ testing.TB }

func (exampleT) Helper()        {}
func (exampleT) Fatal(a ...any) { log.Fatal(a...) }
