// Probe tries to get out of the sandbox that it runs in, in every way that it knows, and prints what became of each: a line
// with the name, "contained" or "ESCAPED", and what the kernel said, with " | " between them.
//
// What it does is harmless where it fails, and not where it succeeds: it mounts, loads, kills and writes. So it does nothing
// unless it sees that it is inside.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// A host is what a prisoner could know of the world outside.
type host struct {
	Controller int      // number of the process that started the sandbox
	Neighbour  int      // of the server of another sandbox, 0 if not known
	Sockets    []string // of servers and engines
	Abstract   string   // name of a socket without a file, in the host's network
	Address    string   // of a listener on the host's loopback
	Secrets    []string // files that hold one
	Writable   []string // directories that must not be
	Leave      []string // names of probes that are not to be tried
}

// A probe returns nil if it got through, and else how it was stopped.
type probe struct {
	name string
	try  func(h host) error
}

// errNothing says that there is nothing to get at.
var errNothing = errors.New("there is none")

func main() {
	var h host
	if len(os.Args) != 2 || json.Unmarshal([]byte(os.Args[1]), &h) != nil {
		fmt.Fprintln(os.Stderr, "usage: probe JSON, in a sandbox only")
		os.Exit(2)
	}
	if err := inside(); err != nil {
		fmt.Fprintln(os.Stderr, "probe: this is no sandbox, so nothing is tried:", err)
		os.Exit(3)
	}
	for _, group := range [][]probe{credentials, processes, files, devices, kernel, network} {
		for _, p := range group {
			if slices.Contains(h.Leave, p.name) {
				continue
			}
			verdict, detail := "contained", "nothing to be seen"
			if err := p.try(h); err == nil {
				verdict = "ESCAPED"
			} else {
				detail = err.Error()
			}
			fmt.Printf("%s | %s | %s\n", p.name, verdict, strings.ReplaceAll(detail, "\n", " "))
		}
	}
}

// inside fails unless process 1 is a sandbox's server, whose sandbox this process says it is in, and this process has no
// capability: nobody who is root on a machine has none.
func inside() error {
	name, err := os.ReadFile("/proc/1/comm")
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(name)) != "sandboxd" {
		return fmt.Errorf("process 1 is %q", name)
	}
	if os.Getenv("SANDTREE_SANDBOX") == "" {
		return errors.New("no SANDTREE_SANDBOX")
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	if !strings.Contains(string(status), "CapEff:\t0000000000000000") {
		return errors.New("it has capabilities")
	}
	return nil
}

// any tries several ways to the same end: nil if one of them got through.
func any[T string | int](ways []T, try func(T) error) error {
	err := errNothing
	for _, w := range ways {
		if err = try(w); err == nil {
			return nil
		}
	}
	return err
}
