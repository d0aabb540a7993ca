package jail

import (
	"context"
	"os"

	"github.com/sandtree/sandtree/backends/internal/homes"
)

// ours are our ends of the pipes.
func (s *spawned) ours() homes.Pipes {
	return homes.Pipes{Ready: s.ready, Told: [3]*os.File{s.stage, s.env, s.key}}
}

// await hands over what the server waits for, and returns when it serves. When it does not, it has ended or shall.
func (s *spawned) await(ctx context.Context, env []string) error {
	defer s.ours().Within(ctx)()
	err := s.tell()
	if err == nil {
		err = homes.Tell(s.env, s.key, env, s.secret)
	}
	return s.listen(ctx, err)
}

// listen waits for a byte, unless err says that there is no point.
func (s *spawned) listen(ctx context.Context, err error) error {
	return s.ours().Await(ctx, s.process, err, homes.Told)
}

// close closes the pipes, and what was not handed over; the server goes on.
func (s *spawned) close() {
	s.ours().Close()
	closeAll(s.shown)
}
