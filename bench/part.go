package bench

import (
	"context"
	"fmt"
	"os"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// The parts of a run that are processes of their own, as the first argument of Part.
const (
	PartFloor      = "floor"      // the bare server
	PartController = "controller" // drives a runtime until it is killed
)

// Part is what Config.Program runs as: args begin with the name of the part. drivers are those that an order may name.
func Part(ctx context.Context, args []string, in, out *os.File, environ []string, drivers map[string]backends.OpenFunc) error {
	if len(args) > 0 {
		switch args[0] {
		case PartFloor:
			return serveFloor(ctx, args[1:], in, out)
		case PartController:
			return control(ctx, in, out, environ, drivers)
		}
	}
	return &sandbox.Error{Code: sandbox.Invalid, Op: "part", Err: fmt.Errorf("there is no part %q of a run", args)}
}
