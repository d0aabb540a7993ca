// Controller starts a sandbox, runs something in it and waits to be killed. With a third argument, how many, it has warm ones
// ready, of which the sandbox is one.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/sandbox"
)

func main() {
	// The hour of what is started here is known by the state directory.
	d, err := jail.New(jail.Config{StateDir: os.Args[1], Sandboxd: os.Args[2], Environ: []string{"TZ=" + os.Args[1]}})
	check(err)
	var warm []backends.Blank
	if len(os.Args) > 3 {
		n, err := strconv.Atoi(os.Args[3])
		check(err)
		for range n {
			b, err := d.Warm(context.Background(), sandbox.Spec{})
			check(err)
			warm = append(warm, b)
			fmt.Println("warm")
		}
	}
	claim := func(string, string, sandbox.Spec) backends.Blank {
		if len(warm) == 0 {
			return nil
		}
		return warm[0]
	}
	s, err := backends.Open("jail", d, backends.Config{Claim: claim}).Start(context.Background(), sandbox.Spec{ID: "crash"})
	check(err)
	_, err = s.Do(context.Background(), sandbox.Action{Args: sandbox.RunArgs{Command: "sleep 100031 &"}}, nil)
	check(err)
	fmt.Println("begun")
	select {}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
