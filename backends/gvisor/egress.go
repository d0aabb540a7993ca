package gvisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/doors"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// openDoors opens them in the network of a companion, which is its sandbox's.
func openDoors(_ context.Context, _ homes.Home, p *held.Process) (doors.Set, error) {
	set, err := openIn(p)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		err = homes.Coded(sandbox.Unavailable, fmt.Errorf("a program in it has taken the place of a door: %w", err))
	case err != nil:
		err = fmt.Errorf("its doors: %w", err)
	}
	return set, err
}

// openIn does it. The file is held before it is asked whether the companion lives, so that it is not another's who has the number
// by now.
func openIn(p *held.Process) (doors.Set, error) {
	f, err := os.Open("/proc/" + strconv.Itoa(p.PID) + "/ns/net")
	if err != nil {
		return doors.Set{}, errors.Join(held.ErrEnded, err)
	}
	defer f.Close()
	if !p.Alive() {
		return doors.Set{}, held.ErrEnded
	}
	return doors.OpenIn("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
}
