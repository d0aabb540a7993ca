// Imports makes a snapshot of the archive on its standard input, for sandboxes that can write to a root.
package main

import (
	"context"
	"os"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
)

func main() {
	d, err := jail.New(jail.Config{StateDir: os.Args[1], Sandboxd: os.Args[2], Root: os.Args[3], Overlay: true, User: "root"})
	check(err)
	b := backends.Open("jail", d, backends.Config{})
	_, err = b.Import(context.Background(), "moved", os.Stdin, backends.ArchiveBounds{})
	check(err)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
