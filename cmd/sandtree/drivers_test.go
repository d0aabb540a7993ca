package main

import (
	"testing"

	"github.com/sandtree/sandtree/backends/standard"
)

// A driver whose options nobody knows could only be used as it comes.
func TestDriversCanBeConfigured(t *testing.T) {
	for name := range standard.Drivers() {
		if drivers[name] == nil {
			t.Errorf("%s has no options that can be set", name)
		}
	}
}
