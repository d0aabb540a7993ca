// Command server is the server of package floor, as a process.
package main

import (
	"fmt"
	"os"

	"github.com/sandtree/sandtree/internal/floor"
)

func main() {
	if err := floor.Serve(os.Args[1], os.Args[2], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}
