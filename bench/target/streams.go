package target

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/transport"
)

// Broadcast runs a command to which listeners join, each by a client of its own with a connection to the server in the
// sandbox: an action that is asked for again under its id is joined.
func (r *runtime) Broadcast(ctx context.Context, command string) (Listen, func(context.Context) error, error) {
	instance, err := r.target.driver.Attach(ctx, r.Runtime.ID())
	if err != nil {
		return nil, nil, err
	}
	state, err := r.State(ctx)
	if err != nil {
		return nil, nil, err
	}
	config := transport.Config{ID: r.Runtime.ID(), Epoch: state.Epoch, MaxConns: 1, ConnectMin: joining, ConnectMax: joining}
	if keyed, ok := instance.(backends.Keyed); ok {
		config.Key = keyed.Key()
	}
	// Its time is named, since who joins must ask for the same.
	action := sandbox.Action{ID: sandbox.NewActionID(), Timeout: longest, Args: sandbox.RunArgs{Command: command, Blocking: true}}
	running, ended := r.begin(ctx, action)
	listen := func(ctx context.Context, heard func(p []byte)) error {
		return join(ctx, instance, config, action, heard)
	}
	stop := func(ctx context.Context) error { return r.interrupt(ctx, action.ID, ended) }
	select {
	case <-running:
		return listen, stop, nil
	case err := <-ended:
		return nil, nil, errors.Join(errors.New("the command ended before it printed"), err)
	case <-ctx.Done():
		return nil, nil, errors.Join(ctx.Err(), stop(context.WithoutCancel(ctx)))
	}
}

// begin performs an action. running is closed when it has printed something, so that who asks for it then joins it.
func (r *runtime) begin(ctx context.Context, a sandbox.Action) (running chan struct{}, ended chan error) {
	running, ended = make(chan struct{}), make(chan error, 1)
	go func() {
		once := sync.OnceFunc(func() { close(running) })
		_, err := r.Do(context.WithoutCancel(ctx), a, func(int64, []byte) { once() })
		ended <- err
	}()
	return running, ended
}

// interrupt ends an action, and waits for its end as long as it takes to end a runtime.
func (r *runtime) interrupt(ctx context.Context, id string, ended chan error) error {
	err := r.Interrupt(ctx, id)
	if err != nil && sandbox.CodeOf(err) != sandbox.NotFound { // else it has ended by itself
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, ending)
	defer cancel()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return &sandbox.Error{Code: sandbox.Internal, Op: "interrupt", ID: r.Runtime.ID(), Err: errors.New("the command does not end")}
	}
}

// longest is how long a broadcast can last.
const longest = 24 * time.Hour

// joining is how long one of thousands that connect at once may wait for its turn.
const joining = 30 * time.Second

// join listens to an action that runs.
func join(ctx context.Context, i backends.Instance, c transport.Config, a sandbox.Action, heard func([]byte)) error {
	client, err := transport.New(i.Dial, c)
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = client.Do(ctx, a, func(_ int64, p []byte) { heard(p) })
	return err
}
