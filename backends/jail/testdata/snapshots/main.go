// Snapshots starts a sandbox, or finds it, and goes on writing a line into a file of it and making a snapshot, until it is killed. With a
// fourth argument that is the root, which can be written to, and a line is written there too.
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
	epoch, err := strconv.ParseUint(os.Args[3], 10, 64)
	check(err)
	c := jail.Config{StateDir: os.Args[1], Sandboxd: os.Args[2]}
	command := "echo x >>file && echo y >>$HOME/mine && pwd"
	if len(os.Args) > 4 {
		c.Root, c.Overlay, c.User = os.Args[4], true, "root"
		command = "echo x >>file && echo y >>/etc/mine && pwd"
	}
	d, err := jail.New(c)
	check(err)
	b := backends.Open("jail", d, backends.Config{})
	s, err := b.Attach(context.Background(), "web", epoch)
	if sandbox.CodeOf(err) == sandbox.NotFound {
		s, err = b.Start(context.Background(), sandbox.Spec{ID: "web", Epoch: epoch})
	}
	check(err)
	for n := 0; ; n++ {
		o, err := s.Do(context.Background(), sandbox.Action{Args: sandbox.RunArgs{Command: command, Blocking: true}}, nil)
		check(err)
		if r, ok := o.Result.(sandbox.RunResult); !ok || r.Metadata.ExitCode != 0 || o.Content[:10] != "/workspace" {
			panic(fmt.Sprintf("%+v", o))
		}
		_, err = s.Snapshot(context.Background(), fmt.Sprintf("s%d.%d", epoch, n))
		check(err)
		fmt.Println("made")
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
