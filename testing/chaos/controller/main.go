// Command controller is what the chaos test kills: a program that embeds the supervisor and performs numbered actions in
// several runtimes at once. It prints "ID NUMBER WORD" when an action has ended: done, interrupted, or lost.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/docker"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/backends/local"
	"github.com/sandtree/sandtree/internal/cli"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor"
	"github.com/sandtree/sandtree/testing/dockerd"
)

func main() { os.Exit(cli.Main("controller", run)) }

// run takes pairs ID=NUMBER, the first action of each runtime, and goes on until it is killed or has performed -more.
func run(ctx context.Context, call cli.Call) error {
	flags := flag.NewFlagSet("controller", flag.ContinueOnError)
	state := flags.String("state", "", "state directory")
	sandboxd := flags.String("sandboxd", "", "path of sandboxd")
	more := flags.Int("more", 0, "how many actions of each runtime; 0 is any number")
	mean := flags.Int("cut", 0, "bytes on a connection between cuts, on average")
	seed := flags.Uint64("seed", 1, "of the cuts")
	backend := flags.String("backend", "local", "local, jail or docker")
	host := flags.String("docker", "", "address of the engine")
	think := flags.Duration("think", 0, "longest pause between actions, in which a sandbox is paused and stopped where it can be")
	if err := flags.Parse(call.Args); err != nil {
		return err
	}
	driver, err := open(*backend, *state, *sandboxd, *host)
	if err != nil {
		return err
	}
	idle := supervisor.Idle{StopAfter: *think / 2}
	if driver.CanPause() == nil {
		idle.PauseAfter = *think / 4
	}
	system, err := supervisor.Open(ctx, supervisor.Config{
		StateDir: *state,
		Drivers:  map[string]backends.Driver{*backend: cutter{driver, *seed, *mean}},
		LeaseTTL: 500 * time.Millisecond,
		Idle:     idle,
		Restart:  supervisor.Restart{Intensity: 200, Window: 10 * time.Second, Base: time.Millisecond, Cap: 20 * time.Millisecond},
		Log:      slog.New(slog.NewTextHandler(call.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	defer system.Close(context.WithoutCancel(ctx))
	out := &lines{w: bufio.NewWriter(call.Stdout)}
	var wg sync.WaitGroup
	for _, arg := range flags.Args() {
		id, first, _ := strings.Cut(arg, "=")
		n, err := strconv.Atoi(first)
		if err != nil {
			return err
		}
		to := math.MaxInt
		if *more > 0 {
			to = n + *more - 1
		}
		wg.Go(func() { drive(ctx, system, sandbox.ID(id), n, to, *think, out) })
	}
	wg.Wait()
	return nil
}

func open(backend, state, sandboxd, host string) (driver, error) {
	switch backend {
	case "local":
		return local.New(local.Config{StateDir: state, Sandboxd: sandboxd, Environ: os.Environ()})
	case "jail":
		return jail.New(jail.Config{StateDir: state, Sandboxd: sandboxd})
	case "docker":
		c := docker.Config{StateDir: state, Sandboxd: sandboxd, Host: host, Image: dockerd.Skeleton, Pull: docker.PullNever, Network: "none"}
		for _, m := range dockerd.HostPrograms() {
			c.Mounts = append(c.Mounts, m.Source+":"+m.Target+":ro")
		}
		return docker.New(c)
	}
	return nil, fmt.Errorf("there is no backend %q", backend)
}

// drive performs the actions of one runtime. It asks again under the same id until it knows the end.
func drive(ctx context.Context, system *supervisor.System, id sandbox.ID, n, to int, think time.Duration, out *lines) {
	var rt *supervisor.Runtime
	for ctx.Err() == nil && n <= to {
		var err error
		if rt == nil {
			if rt, err = system.Runtime(ctx, sandbox.Spec{ID: id}); err != nil {
				rt = nil
				out.print(id, n, "open:"+string(sandbox.CodeOf(err)), err)
				time.Sleep(20 * time.Millisecond) // the lease of the one before has to lapse
				continue
			}
		}
		word, err := act(ctx, rt, n)
		if err != nil {
			out.print(id, n, "retry:"+string(sandbox.CodeOf(err)), err)
			rt = nil
			continue
		}
		out.print(id, n, word, nil)
		n++
		if think > 0 {
			time.Sleep(rand.N(think))
		}
	}
}

func act(ctx context.Context, rt *supervisor.Runtime, n int) (string, error) {
	seen, err := rt.Do(ctx, sandbox.Action{
		ID:   ActionID(n),
		Args: sandbox.RunArgs{Command: fmt.Sprintf("echo %d >> numbers", n), Blocking: true},
	}, nil)
	switch {
	case err != nil:
		return "", err
	case seen.Interrupted():
		return "interrupted", nil
	}
	if r, ok := seen.Result.(sandbox.RunResult); ok && r.Metadata.ExitCode == 0 {
		return "done", nil
	}
	return fmt.Sprintf("odd:%s:%q", seen.Kind(), seen.Content), nil
}

// ActionID names the action with number n.
func ActionID(n int) string { return fmt.Sprintf("n-%d", n) }

// lines prints whole lines, at once, so that what was printed was known.
type lines struct {
	mu sync.Mutex
	w  *bufio.Writer
}

func (l *lines) print(id sandbox.ID, n int, word string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.w, id, n, word, err)
	l.w.Flush()
}
