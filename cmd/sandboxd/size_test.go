package main

import (
	"os"
	"testing"

	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// maxSize is the most that the program may have, in bytes, built as it is shipped: it is copied into every sandbox.
const maxSize = 15_000_000

func TestTheProgramIsSmall(t *testing.T) {
	info, err := os.Stat(sandboxdtest.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > maxSize {
		t.Errorf("sandboxd has %d bytes, want at most %d", info.Size(), maxSize)
	}
}
