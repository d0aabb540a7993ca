package supervisor_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/local"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor"
)

// A program opens a System on a state directory, gets a runtime by its id, and has it act. The local driver needs
// sandboxd beside the program or on PATH.
func Example() {
	dir, _ := os.MkdirTemp("", "state")
	defer os.RemoveAll(dir)

	ctx := context.Background()
	driver, err := local.New(local.Config{StateDir: dir, Sandboxd: sandboxd()})
	if err != nil {
		log.Fatal(err)
	}
	system, err := supervisor.Open(ctx, supervisor.Config{StateDir: dir, Drivers: map[string]backends.Driver{"local": driver}})
	if err != nil {
		log.Fatal(err)
	}
	defer system.Close(ctx) // lets go; Kill ends
	rt, err := system.Runtime(ctx, sandbox.Spec{ID: "example"})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Kill(ctx)
	seen, err := rt.Run(ctx, "echo hello from $((6 * 7))", nil)
	fmt.Println(seen.Content, err)

	// The sandbox dies, and the runtime heals.
	seen, err = rt.Run(ctx, "kill -9 $SANDBOXD_PID; sleep 10", nil)
	fmt.Println(seen.Interrupted(), err)
	seen, err = rt.Run(ctx, "echo here again", nil)
	fmt.Println(seen.Content, err)
	// Output:
	// hello from 42 <nil>
	// true <nil>
	// here again <nil>
}
