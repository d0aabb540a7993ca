// Controller starts a sandbox, runs something in it and waits to be killed.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/gvisor"
	"github.com/sandtree/sandtree/sandbox"
)

func main() {
	d, err := gvisor.New(gvisor.Config{StateDir: os.Args[1], Sandboxd: os.Args[2], Companion: os.Args[3]})
	if err != nil {
		panic(err)
	}
	s, err := backends.Open("gvisor", d, backends.Config{}).Start(context.Background(), sandbox.Spec{ID: "crash"})
	if err != nil {
		panic(err)
	}
	if _, err := s.Do(context.Background(), sandbox.Action{Args: sandbox.RunArgs{Command: "sleep 100031 &"}}, nil); err != nil {
		panic(err)
	}
	fmt.Println("begun")
	select {}
}
