// Package browser opens and operates web pages in Chromium, which it starts when the first page is asked for and starts
// again when it has died.
//
// Chromium is driven by the DevTools protocol over two pipes that only the two have (--remote-debugging-pipe): there is no
// port that a page or another program could guess. What agents say is BrowserGym's vocabulary, in Python's syntax, of
// literals only. Elements are named by bids, which a script of ours gives them in a world of its own: a page can neither
// see that nor change what a bid stands for, and an element keeps its bid for as long as it lives.
//
// After each action the package waits for what the action has caused, told by the browser's events, and then takes the
// accessibility tree, the focused element and the screenshot at the same time.
//
// Pages are what strangers send. They are confined by Chromium's own sandbox where that can start (not as root, and with
// user namespaces), else by what confines the whole sandbox of the agent; Info tells which. The browser runs as the user
// of the sandbox, in a cage of its own; the number of pages and the size of all that they send are bounded here, its
// memory and processors by the sandbox's cgroup. Pages of different sites share a process, as in other small browsers.
package browser

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sandtree/sandtree/internal/child"
	"github.com/sandtree/sandtree/sandbox"
)

// Config says where a browser runs.
type Config struct {
	Child   child.Config    // user, cgroup
	Env     func() []string // environment of the sandbox's programs, asked for at each start
	Dir     string          // working directory, absolute: downloads and screenshots are below it
	TempDir string          // where the profile is made, and removed at the end; "" is the system's, and /tmp where that is too long
	Mark    string          // of the sandbox: in the profile's name, so that one a killed server has left is removed; letters, digits, _ and -, or ""
	Log     *slog.Logger    // nil discards

	Timeout time.Duration // of a whole action; 0 means 120 s
}

const (
	downloadsDir   = ".downloads"
	screenshotsDir = ".browser_screenshots"

	defaultTimeout = 120 * time.Second // the original's
)

func (c Config) downloads() string { return filepath.Join(c.Dir, downloadsDir) }

// A Browser is the browser of one sandbox. Safe for concurrent use; actions are performed one at a time.
type Browser struct {
	config Config
	turn   chan struct{} // has room for one: held by the action being performed
	album  album         // only with the turn

	mu     sync.Mutex
	engine *engine // nil while none runs
	bare   bool    // Chromium's own sandbox has been found not to start
	closed bool
}

// New makes a browser and starts nothing.
func New(c Config) *Browser {
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Browser{config: c, turn: make(chan struct{}, 1), album: album{config: c}}
}

// Info tells of the browser.
type Info struct {
	Running bool   `json:"running"`
	Version string `json:"version,omitempty"` // as "Chrome/130.0.1.2"; "" if none has run
	Sandbox string `json:"sandbox,omitempty"` // "chromium": its own; "none": --no-sandbox; "" if none has run
	Tabs    int    `json:"tabs"`
	PID     int    `json:"pid,omitempty"`
}

// Info tells how the browser is now.
func (b *Browser) Info() Info {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.engine
	if e == nil {
		return Info{}
	}
	i := Info{Running: e.alive(), Version: e.version, Sandbox: "none", Tabs: len(e.list()), PID: e.process.PID}
	if e.sandboxed {
		i.Sandbox = "chromium"
	}
	return i
}

// Sandboxed says what confines pages: see Info.Sandbox.
func (b *Browser) Sandboxed() string { return b.Info().Sandbox }

// Prepare makes the directory of downloads, as the original does at its start.
func (b *Browser) Prepare() error { return b.config.makeDir(downloadsDir) }

// makeDir makes a directory in the working directory.
func (c Config) makeDir(name string) error {
	root, err := os.OpenRoot(c.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Mkdir(name, 0o755); errors.Is(err, os.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	if u := c.Child.User; u != nil {
		return root.Lchown(name, int(u.Uid), int(u.Gid))
	}
	return nil
}

// take waits for the turn.
func (b *Browser) take(ctx context.Context) (leave func(), err error) {
	select {
	case b.turn <- struct{}{}:
		return func() { <-b.turn }, nil
	case <-ctx.Done():
		return nil, &sandbox.Error{Code: sandbox.Canceled, Op: "browse", Err: context.Cause(ctx)}
	}
}

// stopping is the error of what comes after Close.
func stopping() error {
	return &sandbox.Error{Code: sandbox.Unavailable, Op: "browse", Err: errors.New("the browser is closed, for the server of the sandbox is stopping: ask the next one")}
}

// running gives the engine, which it starts if there is none. The caller has the turn. Codes: Unsupported (no Chromium is
// installed), Unavailable.
func (b *Browser) running(ctx context.Context) (*engine, error) {
	b.mu.Lock()
	e, closed, bare := b.engine, b.closed, b.bare
	b.mu.Unlock()
	if closed {
		return nil, stopping()
	}
	if e != nil && e.alive() {
		return e, nil
	}
	if err := b.discard(e); err != nil {
		return nil, err
	}
	path, err := find(b.config.Env())
	if err != nil {
		return nil, err
	}
	if err := b.Prepare(); err != nil {
		return nil, &sandbox.Error{Code: sandbox.Unavailable, Op: "browse", Err: err}
	}
	if err := b.config.removeLeft(); err != nil {
		b.config.Log.Warn("removing what an earlier browser has left", "err", err)
	}
	if e, err = start(ctx, b.config, path, !bare && !b.config.root()); err != nil {
		return nil, err
	}
	b.config.Log.Info("browser", "started", e.version, "sandboxed", e.sandboxed, "pid", e.process.PID)
	b.mu.Lock()
	b.bare = !e.sandboxed
	if closed = b.closed; !closed {
		b.engine = e
	}
	b.mu.Unlock()
	if closed {
		return nil, errors.Join(stopping(), e.close())
	}
	return e, nil
}

// root says whether the browser would run as root, which Chromium's sandbox refuses.
func (c Config) root() bool {
	if u := c.Child.User; u != nil {
		return u.Uid == 0
	}
	return os.Geteuid() == 0
}

// discard ends an engine that died or hangs.
func (b *Browser) discard(e *engine) error {
	if e == nil {
		return nil
	}
	b.mu.Lock()
	if b.engine == e {
		b.engine = nil
	}
	b.mu.Unlock()
	if err := e.close(); err != nil {
		return &sandbox.Error{Code: sandbox.Unavailable, Op: "browse", Err: err}
	}
	return nil
}

// Close ends the browser and removes what it kept, but not what was downloaded. An action under way ends with an
// observation of that. It may be called again.
func (b *Browser) Close() error {
	b.mu.Lock()
	e := b.engine
	b.closed, b.engine = true, nil
	b.mu.Unlock()
	if e == nil {
		return nil
	}
	return e.close()
}
