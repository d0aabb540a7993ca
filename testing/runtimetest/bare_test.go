package runtimetest_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/files"
	"github.com/sandtree/sandtree/sandbox/ledger"
	"github.com/sandtree/sandtree/sandbox/shell"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/runtimetest"
)

// bare is the shell, the files and the ledger put together with nothing between them: the runtime on which the suite
// itself is tested, and which tells a fault of theirs from one of the wire.
type bare struct {
	dir    string
	config shell.Config
	sh     *shell.Session
	store  *files.Store
	ledger *ledger.Ledger
	wg     sync.WaitGroup
	turn   sync.Mutex // held by the action that is performed

	mu      sync.Mutex
	outputs map[string]*printed
}

// printed is what one action has printed so far.
type printed struct {
	mu   sync.Mutex
	b    []byte
	more chan struct{} // closed and replaced when there is more
}

func open(noChange time.Duration) func(t *testing.T) sandbox.Runtime {
	return func(t *testing.T) sandbox.Runtime {
		need.Tool(t, "bash")
		leak.Check(t)
		dir, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		// A parent that is writable shows what escapes.
		dir = filepath.Join(dir, "workspace")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		b := &bare{dir: dir, outputs: map[string]*printed{}}
		b.config = shell.Config{Dir: dir, Env: append(os.Environ(), "HOME="+t.TempDir()), NoChange: noChange}
		if b.sh, err = shell.Start(b.config); err != nil {
			t.Fatal(err)
		}
		if b.store, err = files.New(files.Config{Dir: dir, UID: -1, GID: -1}); err != nil {
			t.Fatal(err)
		}
		if b.ledger, err = ledger.Open(ledger.Config{Path: filepath.Join(t.TempDir(), "ledger")}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := errors.Join(b.sh.Close(), b.ledger.Close()); err != nil {
				t.Error(err)
			}
			b.wg.Wait()
		})
		return b
	}
}

func TestSuiteOnTheBareParts(t *testing.T) {
	runtimetest.Run(t, open(0))
	runtimetest.Soft(t, open(time.Second), time.Second)
}

func (b *bare) Do(ctx context.Context, a sandbox.Action, out sandbox.Output) (sandbox.Observation, error) {
	if err := over(ctx); err != nil {
		return sandbox.Observation{}, err
	}
	id := a.ID
	if id == "" {
		id = sandbox.NewActionID()
	}
	body := wire.AppendAction(nil, a)
	if _, err := wire.ParseAction(body); err != nil {
		return sandbox.Observation{}, err
	}
	if !wire.Runnable(a.Kind()) {
		return sandbox.Observation{}, &sandbox.Error{Code: sandbox.Invalid, Op: "bare.Do", Err: fmt.Errorf("no sandbox performs %q", a.Kind())}
	}
	e, fresh, err := b.ledger.Begin(id, sha256.Sum256(body))
	if err != nil {
		return sandbox.Observation{}, err
	}
	b.mu.Lock()
	if fresh {
		b.outputs[id] = &printed{more: make(chan struct{})}
	}
	p := b.outputs[id]
	b.mu.Unlock()
	if fresh {
		b.wg.Go(func() {
			b.turn.Lock()
			defer b.turn.Unlock()
			e.Done(wire.AppendObservation(nil, b.perform(a, p)))
		})
	}
	return p.follow(ctx, e, out)
}

// follow gives the output to out until the action has its answer.
func (p *printed) follow(ctx context.Context, e *ledger.Entry, out sandbox.Output) (sandbox.Observation, error) {
	for n := 0; ; {
		_, settled := e.Answer()
		p.mu.Lock()
		news, more := p.b[n:], p.more
		p.mu.Unlock()
		if len(news) > 0 {
			if out != nil {
				out(int64(n), news)
			}
			n += len(news)
			continue
		}
		if settled {
			answer, _ := e.Answer()
			return wire.ParseObservation(answer)
		}
		select {
		case <-more:
		case <-e.Settled():
		case <-ctx.Done():
			return sandbox.Observation{}, over(ctx)
		}
	}
}

func (p *printed) print(_ int64, b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.b = append(p.b, b...)
	close(p.more)
	p.more = make(chan struct{})
}

func (b *bare) perform(a sandbox.Action, p *printed) sandbox.Observation {
	var o sandbox.Observation
	var err error
	switch args := a.Args.(type) {
	case sandbox.RunArgs:
		o, err = b.run(args, a.Timeout, p)
	case sandbox.ReadArgs:
		o, err = b.store.Read(b.sh.Cwd(), args)
	case sandbox.WriteArgs:
		o, err = b.store.Write(b.sh.Cwd(), args)
	case sandbox.EditArgs:
		o, err = b.store.Edit(args)
	default:
		err = errors.New("not here")
	}
	if err != nil {
		return sandbox.Failed("", err.Error())
	}
	return o
}

func (b *bare) run(args sandbox.RunArgs, timeout time.Duration, p *printed) (sandbox.Observation, error) {
	sh := b.sh
	if args.IsStatic {
		c := b.config
		if args.Cwd != "" {
			c.Dir = args.Cwd
		}
		var err error
		if sh, err = shell.Start(c); err != nil {
			return sandbox.Observation{}, err
		}
		defer sh.Close()
	}
	return sh.Run(context.Background(), args, timeout, p.print)
}

func (b *bare) Ping(ctx context.Context) error { return over(ctx) }

func (b *bare) List(ctx context.Context, path string) ([]string, error) {
	if err := over(ctx); err != nil {
		return nil, err
	}
	return b.store.List(path)
}

func (b *bare) Get(ctx context.Context, path string, w io.Writer) error {
	if err := over(ctx); err != nil {
		return err
	}
	f, _, err := b.store.Get(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

func (b *bare) Put(ctx context.Context, path string, r io.Reader) error {
	if err := over(ctx); err != nil {
		return err
	}
	_, err := b.store.Put(path, r, files.PutOptions{})
	return err
}

func (b *bare) GetTree(ctx context.Context, path string, w io.Writer) error {
	if err := over(ctx); err != nil {
		return err
	}
	return b.store.GetTree(path, w)
}

func (b *bare) PutTree(ctx context.Context, path string, r io.Reader) error {
	if err := over(ctx); err != nil {
		return err
	}
	return b.store.PutTree(path, r)
}

func over(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return &sandbox.Error{Code: sandbox.Canceled, Op: "bare", Err: context.Cause(ctx)}
}
