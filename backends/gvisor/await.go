package gvisor

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"syscall"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

func (s *spawned) pipes() homes.Pipes {
	return homes.Pipes{Ready: s.ready, Told: [3]*os.File{s.asks, s.stdin}}
}

// await hands over what the companion and the server wait for, and returns when the server serves. When it does not, it has ended or
// shall.
func (s *spawned) await(ctx context.Context, args []string, text string) error {
	ordered, err := json.Marshal(s.order(args))
	if err != nil {
		return err
	}
	defer s.pipes().Within(ctx)()
	for _, part := range []struct {
		pipe *os.File
		text string
	}{{s.asks, string(ordered)}, {s.stdin, text}} {
		if err == nil {
			_, err = part.pipe.WriteString(part.text)
		}
		part.pipe.Close()
	}
	err = s.pipes().Await(ctx, s.process, err, told)
	if err == nil || s.process.Alive() {
		return err
	}
	if exit, ok := s.process.Ended(); ok && exit.Code == exitCannot {
		return homes.Coded(sandbox.Unsupported, errors.New("no sandbox can be made here"))
	}
	return err
}

// told is how the server ended, by how its companion did.
func told(e held.Exit) sandbox.Exit {
	switch code := e.Code; {
	case !e.Known, e.Signal != 0: // the companion was killed, and all else with it
		return homes.Told(e)
	case code == exitStarved:
		return sandbox.Exit{Code: -1, Signal: int(syscall.SIGKILL), Memory: true}
	case code == exitFailed || code == exitCannot || code == exitBroken:
		return sandbox.Exit{Code: -1, Reason: "gVisor ended; its log says why"}
	case code > 128:
		return sandbox.Exit{Code: -1, Signal: code - 128}
	}
	return sandbox.Exit{Code: e.Code}
}
