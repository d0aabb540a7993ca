package main

import (
	"context"
	"os"

	"github.com/sandtree/sandtree/internal/cli"
	"github.com/sandtree/sandtree/internal/doors"
	"github.com/sandtree/sandtree/internal/stage"
)

// runStage makes the jail that this process is the first of, and goes on in it as its server, with the command line that
// the maker of the jail has sent.
func runStage(ctx context.Context, c cli.Call) error {
	go os.FindProcess(os.Getpid()) // see run
	s, err := stage.Receive()
	if err != nil {
		return err
	}
	read := make(chan *order, 1)
	go func() { read <- readOrder(s.Args) }() // while the jail is made, for which the kernel does most of the work
	set, err := stage.Enter(s)
	o := <-read
	if err != nil {
		return err
	}
	if len(s.Args) == 0 {
		return nil // all that was asked is whether it can be done
	}
	if err := s.KeepDoors(set); err != nil {
		return err
	}
	if set.Missing != nil { // then programs must know of the one door that there is
		for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
			os.Setenv(name, doors.Proxy)
			o.environ = overlay(o.environ, []string{name + "=" + doors.Proxy})
		}
	}
	c.Args = s.Args
	return serveBy(ctx, c, o, nil)
}
