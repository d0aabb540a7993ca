// Package stage is the first process of a jail, from its birth in new namespaces to the point from which on strangers'
// programs may run in it: it gives the jail its own root, network and name and then gives up every privilege.
//
// It runs in sandboxd itself, which goes on as the server and the jail's process 1: to execute it again would cost as much
// as all that is done here three times over. Hence the care in confine.go. Credentials belong to a thread and a Go program
// has several, so each of these calls is made on all of them, or the stage refuses to go on.
//
// Everything that it does is said by a Spec, which comes through a pipe from the backend that has made the namespaces.
// Nothing of it is secret from the jail.
package stage

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/doors"
)

// Enter makes this process, which is the first of its namespaces, that of the jail, and gives the jail's doors if the Spec
// says where they are asked for. When it fails, the process must end.
func Enter(s *Spec) (doors.Set, error) {
	// In a network, process or mount namespace that is not its own it would take the host's apart.
	if os.Getpid() != 1 {
		return doors.Set{}, errors.New("it is not the first process of a jail")
	}
	set, err := enter(s)
	if err != nil {
		return doors.Set{}, fmt.Errorf("stage: %w", err)
	}
	return set, nil
}

func enter(s *Spec) (doors.Set, error) {
	var set doors.Set
	var netErr error
	var networking sync.WaitGroup
	networking.Go(func() { set, netErr = network(s) }) // which has nothing to do with files, and takes half as long
	err := build(s)
	if networking.Wait(); err == nil {
		err = netErr
	}
	if err != nil {
		return doors.Set{}, err
	}
	if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
		return doors.Set{}, fmt.Errorf("host name: %w", err)
	}
	if err = bound(s); err == nil {
		err = confine(s.Filter, s.Audit)
	}
	return set, err
}

// bound sets what every process of the jail inherits.
func bound(s *Spec) error {
	// It was executed by a descriptor's number, which would be its name.
	if err := os.WriteFile("/proc/self/comm", []byte("sandboxd"), 0); err != nil {
		return fmt.Errorf("comm: %w", err)
	}
	if s.OOMScore > 0 {
		if err := os.WriteFile("/proc/self/oom_score_adj", fmt.Append(nil, s.OOMScore), 0); err != nil {
			return fmt.Errorf("oom_score_adj: %w", err)
		}
	}
	core := unix.Rlimit{Max: 0} // a core would be written wherever the host's core_pattern says, outside of the jail
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &core); err != nil {
		return fmt.Errorf("RLIMIT_CORE: %w", err)
	}
	if err := lower(unix.RLIMIT_NOFILE, s.OpenFiles); err != nil {
		return fmt.Errorf("RLIMIT_NOFILE: %w", err)
	}
	if err := lower(unix.RLIMIT_NPROC, s.Processes); err != nil {
		return fmt.Errorf("RLIMIT_NPROC: %w", err)
	}
	return nil
}

// lower sets a limit, for good, to at most n; 0 leaves it.
func lower(resource int, n uint64) error {
	var now unix.Rlimit
	if n == 0 {
		return nil
	}
	if err := unix.Getrlimit(resource, &now); err != nil {
		return err
	}
	return unix.Setrlimit(resource, &unix.Rlimit{Cur: min(now.Cur, n), Max: min(now.Max, n)})
}
