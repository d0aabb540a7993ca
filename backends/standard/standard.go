// Package standard lists the drivers that come with sandtree, by the names that a configuration gives them. A program
// that brings its own, or wants to link only some, makes its own list.
package standard

import (
	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/docker"
	"github.com/sandtree/sandtree/backends/gvisor"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/backends/local"
)

// Drivers gives a fresh map of the drivers by name.
func Drivers() map[string]backends.OpenFunc {
	return map[string]backends.OpenFunc{
		"docker": docker.Open,
		"gvisor": gvisor.Open,
		"jail":   jail.Open,
		"local":  local.Open,
	}
}
