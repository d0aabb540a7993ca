// Forks makes a snapshot with many files ("make"), or starts a sandbox with its files ("fork") or without ("bare"), tells how
// many there are, and removes what it has started ("remove").
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/sandbox"
)

func main() {
	ctx := context.Background()
	d, err := jail.New(jail.Config{StateDir: os.Args[1], Sandboxd: os.Args[2]})
	check(err)
	b := backends.Open("jail", d, backends.Config{})
	does := func(s *backends.Sandbox, command string) {
		o, err := s.Do(ctx, sandbox.Action{Args: sandbox.RunArgs{Command: command, Blocking: true}}, nil)
		check(err)
		fmt.Println(strings.TrimSpace(o.Content))
	}
	switch os.Args[3] {
	case "make":
		s, err := b.Start(ctx, sandbox.Spec{ID: "origin"})
		check(err)
		does(s, "echo mine >$HOME/mine; for i in {1..1000}; do echo $i >f$i; done; ls | wc -l")
		_, err = s.Snapshot(ctx, "many")
		check(err)
		check(b.Remove(ctx, "origin", backends.AnyEpoch, 0))
	case "fork", "bare":
		spec := sandbox.Spec{ID: "fork", From: "many"}
		if os.Args[3] == "bare" {
			spec.From = ""
		}
		s, err := b.Start(ctx, spec)
		check(err)
		does(s, "echo $(ls -A | wc -l) $(cat f* 2>/dev/null | wc -l) $(ls -A ~ | wc -l)")
		check(b.Remove(ctx, "fork", backends.AnyEpoch, 0))
	case "remove":
		check(b.Remove(ctx, "fork", backends.AnyEpoch, 0))
		check(b.RemoveSnapshot(ctx, "many"))
	}
	check(b.Close())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
