// Sandtree-gvisor is gVisor as a program of this project: it makes one sandbox whose programs never reach the kernel of the
// machine, and stays for as long as that lives. The driver backends/gvisor finds and starts it; nobody else has to.
//
// It is a module of its own, so that what gVisor brings (some 90 MB linked, and modules whose interfaces change from week to
// week) is not linked into sandtree, nor built or checked with it. `make gvisor` builds it, with CGO_ENABLED=0: parts of it
// run in an empty root, where there is no loader.
//
// The same file is gVisor's own parts, the kernel and the one that opens files for it, which gVisor starts by other names;
// and, with any other argument than hold, gVisor's command line, runsc, which is of use for looking into a sandbox that
// misbehaves.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"gvisor.dev/gvisor/runsc/cli/maincli"
)

// usage is for a person who has found the program.
const usage = "sandtree-gvisor is started by sandtree's gvisor backend, as `sandtree-gvisor hold`; any other arguments are runsc's"

func main() {
	word := ""
	if name := filepath.Base(os.Args[0]); name != "runsc-sandbox" && name != "runsc-gofer" && len(os.Args) > 1 {
		word = os.Args[1]
	}
	var code int
	var err error
	switch {
	case len(os.Args) < 2:
		code, err = 2, errors.New(usage)
	case word == "hold":
		code, err = hold()
	case word == "version":
		fmt.Println(version())
	case word == "filters":
		err = writeFilters(os.Stdout)
	default:
		if err = useFilters(); err == nil {
			maincli.Main()
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandtree-gvisor:", err)
		switch {
		case errors.Is(err, errCannot):
			code = cannot
		case code == 0:
			code = failed
		}
	}
	os.Exit(code)
}

// version names the protocol that is spoken with the driver, and gVisor's.
func version() string {
	v := fmt.Sprintf("sandtree-gvisor %d", protocol)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "gvisor.dev/gvisor" {
				v += " gvisor " + m.Version
			}
		}
	}
	return v
}
