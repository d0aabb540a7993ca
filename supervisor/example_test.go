package supervisor_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/local"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor"
)

// Open a System on a state directory, get a Runtime by its id, have it act. The local driver finds sandboxd beside the
// program or on PATH; here it is told where.
func Example() {
	ctx := context.Background()
	dir, program := place()
	driver, _ := local.New(local.Config{StateDir: dir, Sandboxd: program})
	system, err := supervisor.Open(ctx, supervisor.Config{StateDir: dir, Drivers: map[string]backends.Driver{"local": driver}})
	if err != nil {
		log.Fatal(err)
	}
	defer system.Close(ctx) // lets go of its runtimes
	rt, err := system.Runtime(ctx, sandbox.Spec{ID: "demo"})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Kill(ctx) // ends this one
	seen, err := rt.Run(ctx, "echo hello from $((6 * 7))", nil)
	fmt.Println(seen.Content, err)
	// Output: hello from 42 <nil>
}

// A sandbox dies under an action: that one is interrupted and not done again, the next runs in the sandbox's successor,
// and every step is on record.
func Example_healing() {
	ctx := context.Background()
	dir, program := place()
	driver, _ := local.New(local.Config{StateDir: dir, Sandboxd: program})
	system, err := supervisor.Open(ctx, supervisor.Config{StateDir: dir, Drivers: map[string]backends.Driver{"local": driver}})
	if err != nil {
		log.Fatal(err)
	}
	defer system.Close(ctx)
	rt, err := system.Runtime(ctx, sandbox.Spec{ID: "demo"})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Kill(ctx)
	seen, err := rt.Run(ctx, "echo kept > file; kill -9 $SANDBOXD_PID; sleep 60", nil)
	fmt.Println(seen.Interrupted(), err)
	seen, err = rt.Run(ctx, "cat file", nil)
	fmt.Println(seen.Content, err)
	for event, err := range rt.Events(ctx, 0) {
		if err != nil {
			log.Fatal(err)
		}
		if event.Type == "restart" {
			fmt.Println("event", event.Seq, event.Type)
			break
		}
	}
	// Output:
	// true <nil>
	// kept <nil>
	// event 9 restart
}
