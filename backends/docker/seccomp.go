package docker

import (
	_ "embed"
	"fmt"
	"os"

	"github.com/sandtree/sandtree/sandbox"
)

// profile is what programs may ask of the kernel, in the engine's form: a list of what is allowed. It is the engine's own
// of version 28 (github.com/moby/profiles, Apache-2.0) without what agents do not need and attacks on kernels like: io_uring, bpf,
// keyrings, userfaultfd, perf, handles of files, 32-bit calls, and sockets of other families than Unix, IP and netlink. Unlike the
// engine's, it is the same with an engine of any version: that of 20.10 lets io_uring through.
//
//go:embed seccomp.json
var profile string

// seccomp are the security options for Config.Seccomp.
func (c Config) seccomp() ([]string, error) {
	switch c.Seccomp {
	case "":
		return []string{"seccomp=" + profile}, nil
	case seccompOfEngine:
		return nil, nil
	}
	b, err := os.ReadFile(c.Seccomp)
	if err != nil {
		return nil, coded{sandbox.Invalid, fmt.Errorf("seccomp: %w", err)}
	}
	return []string{"seccomp=" + string(b)}, nil
}
