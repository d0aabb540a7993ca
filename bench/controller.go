package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/bench/target"
)

// orders are what the controller is told on its standard input.
type orders struct {
	Target target.Order `json:"target"`
	ID     string       `json:"id"`    // of the runtime
	First  int          `json:"first"` // number of the first command
}

// control drives a runtime as orders say, until ctx ends or it is killed: numbered commands, one after the other, each of
// which it tells of in a line when it knows its end.
func control(ctx context.Context, in, out *os.File, environ []string, drivers map[string]backends.OpenFunc) error {
	var o orders
	decoder := json.NewDecoder(in)
	if err := decoder.Decode(&o); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // until in ends, which it does with whoever gave the orders
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	driver := drivers[o.Target.Backend]
	if driver == nil {
		return fmt.Errorf("there is no backend %q", o.Target.Backend)
	}
	t, err := target.Open(ctx, target.Config{Backend: o.Target.Backend, Driver: driver, Values: o.Target.Values, Environ: environ,
		StateDir: o.Target.StateDir, Limits: o.Target.Limits})
	if err != nil {
		return err
	}
	rt, err := t.Find(ctx, o.ID)
	if err != nil {
		return err
	}
	once, ok := rt.(target.Once)
	if !ok {
		return errors.New("its commands have no ids")
	}
	for n := o.First; ; n++ {
		seen, err := once.RunOnce(ctx, actionID(n), numbered(n))
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, n, seen.Interrupted); err != nil {
			return err
		}
	}
}

// actionID is that of a numbered command, and numbered the command: it appends its number to a file, so that what was done
// can be counted.
func actionID(n int) string { return fmt.Sprint("bench-", n) }

func numbered(n int) string { return fmt.Sprintf("echo %d >> numbers", n) }
