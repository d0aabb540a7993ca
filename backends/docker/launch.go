package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
)

// startLimit is how long a server may take to serve once its container has been started, if the caller has more patience.
// The shell gives a .bashrc 20 s, and then starts without it.
const startLimit = time.Minute

// launch starts a container and tells its server what it waits for. It returns when the server serves. When it fails the
// container may be running.
//
// All of it goes over one connection, which is attached before there is anything to miss: standard input takes the secrets,
// standard output gives a byte when the server is ready, standard error its last words if it is not going to be.
func (d *Driver) launch(ctx context.Context, id, key string, spec sandbox.Spec) (*running, container.InspectResponse, error) {
	var c container.InspectResponse
	_, connected := trace.Step(ctx, sandbox.PhaseConnect)
	l, err := d.attach(ctx, id)
	if connected(err); err != nil {
		return nil, c, err
	}
	var wg sync.WaitGroup
	wg.Go(l.listen)
	defer wg.Wait()
	defer l.conn.Close()
	_, spawned := trace.Step(ctx, sandbox.PhaseSpawn)
	err = d.engine.ContainerStart(ctx, id, container.StartOptions{})
	if spawned(err); err != nil {
		return nil, c, err
	}
	ctx, booted := trace.Step(ctx, sandbox.PhaseBoot)
	defer func() { booted(err) }()
	wg.Go(func() { l.tell(d.told(key, spec)) })
	r, c, err := d.watch.share(ctx, id)
	if errors.Is(err, errEnded) {
		err = nil // the connection will say so, and why
	}
	if err == nil {
		err = l.await(ctx, l.ready)
	}
	if errors.Is(err, errEnded) || err == nil && r == nil {
		err = d.early(ctx, id, l)
	}
	return r, c, err
}

// attach connects to the streams of a container that is about to be started.
func (d *Driver) attach(ctx context.Context, id string) (*launching, error) {
	conn, err := d.engine.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return nil, err
	}
	return &launching{conn: conn, waits: make(chan struct{}), ready: make(chan struct{}), over: make(chan struct{})}, nil
}

// early says how a container has ended before anybody could use it.
func (d *Driver) early(ctx context.Context, id string, l *launching) error {
	exit := sandbox.Exit{Code: -1, Reason: "ended"}
	done, failed := d.engine.ContainerWait(ctx, id, container.WaitConditionNotRunning) // its output ends a moment before it does
	select {
	case <-done:
	case <-failed:
	}
	if c, err := d.engine.ContainerInspect(ctx, id); err == nil {
		exit = exitOfState(c.State)
	}
	return coded{sandbox.Unavailable, fmt.Errorf("sandboxd %v before it was ready%s", exit, l.lastWords())}
}

// launching is the connection to a container that is being started.
type launching struct {
	conn  types.HijackedResponse
	call  net.Conn      // to the server itself, by which it is told; nil is none
	waits chan struct{} // closed when the server has said that it waits to be told, or that it serves
	ready chan struct{} // closed when the server has said that it serves
	over  chan struct{} // closed when nothing more will be heard

	serves sync.Once // closes ready

	mu   sync.Mutex
	said []byte // the end of what it has said on standard error
}

// listen reads until the connection ends.
func (l *launching) listen() {
	defer close(l.over)
	var waits sync.Once
	_, _ = stdcopy.StdCopy(writerFunc(func(p []byte) {
		if len(p) > 0 {
			waits.Do(func() { close(l.waits) })
		}
		if bytes.IndexByte(p, '\n') >= 0 {
			l.serves.Do(func() { close(l.ready) })
		}
	}), writerFunc(l.hear), l.conn.Reader)
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

const lastWordsMost = 2048 // bytes: the last lines, which tell why; a panic's first ones would need more than anybody reads

func (l *launching) hear(p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, p...)
	if extra := len(l.said) - lastWordsMost; extra > 0 {
		l.said = l.said[extra:]
	}
}

// tell sends what the server reads before it serves. Should we die meanwhile, it reads less than it needs: the key comes
// last, and without one it serves nobody but the owner of its socket; where it would listen on a port, it ends.
func (l *launching) tell(what string) {
	if l.call != nil {
		_, _ = io.WriteString(l.call, what)
		return
	}
	_, _ = io.WriteString(l.conn.Conn, what) // a server that does not read it will not be ready
	_ = l.conn.CloseWrite()
}

// callSocket is where a server that waits is called, in its box.
const callSocket = "call"

// dial calls the server, which waits, so that it need not be told through the engine: that takes a millisecond each way. Where it
// cannot be called it is told so all the same.
func (l *launching) dial(ctx context.Context, h home) {
	if call, err := dialSocket(ctx, h.boxDir()+"/"+callSocket); err == nil {
		l.call = call
	}
}

// answer reads what the server says by the call, until that ends.
func (l *launching) answer() {
	if l.call == nil {
		return
	}
	if _, err := l.call.Read(make([]byte, 1)); err == nil { // else it ends, which the engine says
		l.serves.Do(func() { close(l.ready) })
	}
}

// hangUp ends the connections.
func (l *launching) hangUp() {
	l.conn.Close()
	if l.call != nil {
		l.call.Close()
	}
}

// await returns when the server has said what closes said. errEnded if it will not any more.
func (l *launching) await(ctx context.Context, said <-chan struct{}) error {
	t := time.NewTimer(startLimit)
	defer t.Stop()
	select {
	case <-said:
		return nil
	case <-l.over:
		select {
		case <-said: // both at once
			return nil
		default:
		}
		return errEnded
	case <-t.C:
		return coded{sandbox.Unavailable, fmt.Errorf("sandboxd is not ready after %v%s", startLimit, l.lastWords())}
	case <-ctx.Done():
		return coded{sandbox.Canceled, fmt.Errorf("before sandboxd was ready: %w", context.Cause(ctx))}
	}
}

func (l *launching) lastWords() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if text := strings.TrimSpace(string(l.said)); text != "" {
		return "; it said:\n" + text
	}
	return "; it said nothing"
}

// told is what the server is told on its standard input: the environment of its programs and, among names that no program
// gets, what is its own. Each variable is ended by a NUL byte, which none can have.
func (d *Driver) told(key string, spec sandbox.Spec) string {
	env := maps.Clone(d.config.Env)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, spec.Env)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !strings.HasPrefix(name, environmentTaken) {
			b.WriteString(name + "=" + env[name] + "\x00")
		}
	}
	b.WriteString(environmentTaken + "OWNER=" + spec.Owner + "\x00")
	b.WriteString(environmentTaken + "EPOCH=" + strconv.FormatUint(spec.Epoch, 10) + "\x00")
	switch {
	case spec.OrphanAfter < 0, spec.OrphanAfter == 0 && d.config.KeepAlive:
		b.WriteString(environmentTaken + "ORPHAN_AFTER=-1s\x00")
	case spec.OrphanAfter > 0:
		b.WriteString(environmentTaken + "ORPHAN_AFTER=" + spec.OrphanAfter.String() + "\x00")
	}
	b.WriteString(environmentTaken + "KEY=" + key + "\x00")
	b.WriteString("\x00") // that was all: the end of the stream takes the engine milliseconds to pass on
	return b.String()
}
