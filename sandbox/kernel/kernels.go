// Package kernel performs cells of Python, and of whatever else there are Jupyter kernels for.
//
// A kernel is a program that keeps the variables of the cells it has performed. It is spoken to in the Jupyter messaging
// protocol 5.3 over ZeroMQ: requests go over its shell channel, what they print comes over iopub, and a cell is over when
// iopub says idle, which comes after all that it has printed. The heartbeat channel is not used: a kernel here is a child
// of this process, whose end the system tells at once.
//
// IPython kernels run the small boot.py, which says when the sockets are there; they are Unix sockets in a directory that
// only the kernel's user can enter. Other languages' kernels are found by their kernelspecs and listen on ports of
// 127.0.0.1. All messages are signed with a key of the kernel's own (HMAC-SHA256).
//
// What a kernel sends is what strangers' code wants it to send: everything that is kept of it is bounded. What that code
// may do besides is for the sandbox to say.
package kernel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sandtree/sandtree/internal/child"
	"github.com/sandtree/sandtree/sandbox"
)

// Config says how kernels are started.
type Config struct {
	Child  child.Config
	Env    func() []string // environment of programs, KEY=VALUE, now; kernels that run are told of what has changed
	RunDir string          // directory in which one for connection files and sockets is made; "" is that for temporary files
	Mark   string          // names that directory, so that what a killed server has left is found: letters, digits, _ and -; no other living server's
	Skills bool            // Python kernels have the functions of module agentskills in their namespace
	Log    *slog.Logger    // nil discards
}

// Kernels are the kernels of one sandbox. Safe for concurrent use.
type Kernels struct {
	config Config
	life   context.Context
	stop   context.CancelFunc

	mu      sync.Mutex
	working sync.WaitGroup // nothing is added once closed
	all     map[string]*kernel
	dir     *runDir // nil until a kernel was started
	count   int     // of launches
	python  string  // the interpreter that was found to have ipykernel
	closed  bool
}

// Main is the name of the kernel that has none.
const Main = "main"

const maxKernels = 32 // one takes 60 MB and more

// New makes Kernels of which none has been started.
func New(c Config) *Kernels {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Mark == "" {
		c.Mark = sandbox.RandomHex(8)
	}
	if c.RunDir == "" {
		c.RunDir = os.TempDir()
	}
	ks := &Kernels{config: c, all: map[string]*kernel{}}
	ks.life, ks.stop = context.WithCancel(context.Background())
	return ks
}

func stopping() error {
	return &sandbox.Error{Code: sandbox.Unavailable, Op: "kernel", Err: errors.New("the server of the sandbox is stopping: ask the next one")}
}

// work runs f in a goroutine that Close waits for; false if it is closed.
func (ks *Kernels) work(f func()) bool {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	if !ks.closed {
		ks.working.Go(f)
	}
	return !ks.closed
}

// named gives the kernel of that name, "" or "main" being the main one; if there is none it is made, but not started.
func (ks *Kernels) named(name, language string) (*kernel, error) {
	if name == "" {
		name = Main
	}
	ks.mu.Lock()
	defer ks.mu.Unlock()
	if ks.closed {
		return nil, stopping()
	}
	k := ks.all[name]
	if k == nil {
		if len(ks.all) >= maxKernels {
			return nil, &sandbox.Error{Code: sandbox.Exhausted, Op: "kernel", Err: fmt.Errorf("there are %d kernels: stop one that is not needed", maxKernels)}
		}
		k = newKernel(ks, name, language)
		ks.all[name] = k
	}
	return k, nil
}

// turn is named, with the turn, which the caller leaves.
func (ks *Kernels) turn(ctx context.Context, name, language string) (*kernel, error) {
	for {
		k, err := ks.named(name, language)
		if err != nil {
			return nil, err
		}
		if err := k.take(ctx); err != nil {
			return nil, err
		}
		if !k.removed {
			return k, nil
		}
		k.leave() // it was stopped while we waited
	}
}

// existing gives a kernel that there is. Code: NotFound.
func (ks *Kernels) existing(name string) (*kernel, error) {
	if name == "" {
		name = Main
	}
	ks.mu.Lock()
	defer ks.mu.Unlock()
	if k := ks.all[name]; k != nil {
		return k, nil
	}
	return nil, &sandbox.Error{Code: sandbox.NotFound, Op: "kernel", Err: fmt.Errorf("no kernel is called %q: start it, or run a cell in it", name)}
}

// Start starts a kernel in directory cwd and waits until it answers; if it runs already it is left as it is. language is
// the name of a kernelspec, or of a language that has one; "" is Python. ctx bounds the wait: the kernel goes on starting.
// Codes: Conflict (another language's kernel has the name), NotFound (no such language), Unsupported (no ipykernel),
// Unavailable, Exhausted, Canceled.
func (ks *Kernels) Start(ctx context.Context, name, language, cwd string) error {
	if isPython(language) {
		language = DefaultLanguage
	} else if _, ok := findSpec(ks.config.Env(), language); !ok {
		return noSpec(ks.config.Env(), language)
	}
	k, err := ks.turn(ctx, name, language)
	if err != nil {
		return canceled(err)
	}
	if k.language != language {
		k.leave()
		return &sandbox.Error{Code: sandbox.Conflict, Op: "kernel.Start", Err: fmt.Errorf("kernel %q is there, for %s: stop it first or take another name", k.name, k.language)}
	}
	_, _, err = k.alive(ctx, cwd)
	if errors.Is(err, errStarting) {
		return canceled(ctx.Err())
	}
	k.leave()
	return err
}

// canceled gives the errors of contexts their code.
func canceled(err error) error {
	if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &sandbox.Error{Code: sandbox.Canceled, Op: "kernel", Err: err}
}

func noSpec(env []string, language string) error {
	there := append([]string{DefaultLanguage}, languages(env)...)
	slices.Sort(there)
	return &sandbox.Error{Code: sandbox.NotFound, Op: "kernel.Start", Err: fmt.Errorf("no Jupyter kernel for %.80q is installed: there are %s",
		language, strings.Join(slices.Compact(there), ", "))}
}

// Interrupt asks the running cell of a kernel to give up, as Ctrl-C does. Codes: NotFound, Conflict (none is running).
func (ks *Kernels) Interrupt(name string) error {
	k, err := ks.existing(name)
	if err != nil {
		return err
	}
	return k.interrupt()
}

// Restart ends a kernel, with the cell that is running and all its variables, and starts it anew in directory cwd. Codes:
// NotFound, and those of Start.
func (ks *Kernels) Restart(ctx context.Context, name, cwd string) error {
	k, err := ks.existing(name)
	if err != nil {
		return err
	}
	return k.replace(ctx, func() error {
		_, _, err := k.alive(ctx, cwd)
		return err
	})
}

// Stop ends a kernel, with the cell that is running, and forgets it; a cell for its name starts a new one. Code: NotFound.
func (ks *Kernels) Stop(ctx context.Context, name string) error {
	k, err := ks.existing(name)
	if err != nil {
		return err
	}
	return k.replace(ctx, func() error {
		_ = k.end() // it may have been started again
		k.forget()
		ks.mu.Lock()
		defer ks.mu.Unlock()
		k.removed = true
		if ks.all[k.name] == k {
			delete(ks.all, k.name)
		}
		return nil
	})
}

// Info is what there is to know of a kernel.
type Info struct {
	Name       string
	Language   string
	State      string    // starting, idle, busy, dead
	PID        int       // of its process; 0 if it has none
	Executable string    // a Python's interpreter
	Started    time.Time // its process; zero if there was none
	Cells      int       // that its process has been given
	Ending     string    // how it died, or why it could not be started
}

// Info tells of one kernel. Code: NotFound.
func (ks *Kernels) Info(name string) (Info, error) {
	k, err := ks.existing(name)
	if err != nil {
		return Info{}, err
	}
	return k.info(), nil
}

// List tells of the kernels there are, by name.
func (ks *Kernels) List() []Info {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	list := make([]Info, 0, len(ks.all))
	for _, k := range ks.all {
		list = append(list, k.info())
	}
	slices.SortFunc(list, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Close ends all kernels and what they have started, and removes their directory. It may be called again.
func (ks *Kernels) Close() error {
	ks.mu.Lock()
	if ks.closed {
		ks.mu.Unlock()
		ks.working.Wait()
		return nil
	}
	ks.closed = true
	all := make([]*kernel, 0, len(ks.all))
	for _, k := range ks.all {
		all = append(all, k)
	}
	ks.mu.Unlock()
	ks.stop()
	ks.working.Wait() // who was starting has given up, or is a process now
	errs := make([]error, len(all)+1)
	var wg sync.WaitGroup
	for i, k := range all { // at a time: each waits for its processes
		wg.Go(func() { errs[i] = k.end() })
	}
	wg.Wait()
	if ks.dir != nil {
		errs[len(all)] = ks.dir.remove()
	}
	return errors.Join(errs...)
}
