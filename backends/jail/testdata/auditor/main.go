// Auditor starts a sandbox whose programs start others for ever, says what it is told of them, and waits to be killed.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/sandbox"
)

func main() {
	d, err := jail.New(jail.Config{StateDir: os.Args[1], Sandboxd: os.Args[2], OnAudit: func(_ sandbox.ID, records []sandbox.AuditRecord) error {
		for _, r := range records {
			if len(r.Argv) == 2 && r.Argv[0] == "/bin/echo" {
				fmt.Println(r.Argv[1])
			}
		}
		return nil
	}})
	if err != nil {
		panic(err)
	}
	s, err := backends.Open("jail", d, backends.Config{}).Start(context.Background(),
		sandbox.Spec{ID: "crash", Audit: sandbox.Audit{Exec: true, Rate: sandbox.MaxAuditRate}})
	if err != nil {
		panic(err)
	}
	const loop = "(i=0; while i=$((i+1)); do /bin/echo tick-$i >>ticks; sleep 0.05; done) &"
	if _, err := s.Do(context.Background(), sandbox.Action{Args: sandbox.RunArgs{Command: loop}}, nil); err != nil {
		panic(err)
	}
	select {}
}
