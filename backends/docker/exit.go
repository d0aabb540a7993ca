package docker

import (
	"strconv"

	"github.com/docker/docker/api/types/container"

	"github.com/sandtree/sandtree/sandbox"
)

// exitOfState is how a container's first process ended.
func exitOfState(s *container.State) sandbox.Exit {
	exit := exitOf(strconv.Itoa(s.ExitCode), s.OOMKilled)
	if s.Error != "" {
		exit.Reason = s.Error
	}
	return exit
}

// exitOf reads an exit code as the engine tells it: a signal is 128 and its number. starved is whether anything in the
// container was killed for want of memory, which explains the end only of what was killed.
func exitOf(code string, starved bool) sandbox.Exit {
	const signals = 128
	n, err := strconv.Atoi(code)
	switch {
	case err != nil:
		return sandbox.Exit{Code: -1, Reason: "its container is gone; how it ended, only the engine could have told"}
	case n > signals && n < signals+65:
		const killed = 9
		return sandbox.Exit{Code: -1, Signal: n - signals, Memory: starved && n-signals == killed}
	}
	return sandbox.Exit{Code: n}
}
