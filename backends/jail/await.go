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
func (s *spawned) await(ctx context.Context, key string, env []string) error {
	defer s.ours().Within(ctx)()
	err := s.tell()
	if err == nil {
		err = homes.Tell(s.env, s.key, env, key)
	}
	return s.listen(ctx, err)
}

// listen waits for a byte, unless err says that there is no point.
func (s *spawned) listen(ctx context.Context, err error) error {
	return s.ours().Await(ctx, s.process, err, homes.Told)
}

// tell tells the first process what the jail looks like, unless it knows.
func (s *spawned) tell() (err error) {
	if s.spec != nil {
		_, err = s.stage.Write(s.spec)
		s.stage.Close()
		s.spec = nil
	}
	return err
}

// close closes the pipes; the server goes on.
func (s *spawned) close() { s.ours().Close() }
