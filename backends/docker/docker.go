// Package docker places a sandbox as a container of a Docker engine. It isolates as well as the container's runtime does:
// runc shares the host's kernel behind namespaces, a seccomp profile and no capabilities; runsc (gVisor) and kata are
// named in the configuration and do more. A start takes what `docker run` takes, about 200 ms.
//
// Any image with a bash can be used, nothing is built into it: sandboxd, a static program, is mounted into the container and
// is its first process, so that the container ends with it and with it all that the sandbox runs. It listens on a Unix socket
// in a mounted directory, or where engine and controller share no files on a port of the loopback. Commands never go
// through the engine. What is secret (the key, the environment of the programs) is told to sandboxd on its standard
// input, and so stands in no image, command line or `docker inspect`.
//
// All that the next process must know of a sandbox is in its directory below the state directory (see home) and in
// the container's labels. How a container ends is told by the engine's event stream (see watcher), which is subscribed
// to again when the engine comes back.
//
// Needed are an engine of API 1.41 or later (Docker 20.10), the right to use it, and Linux where files are shared.
package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/docker/docker/client"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/audit"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// Driver places sandboxes as containers.
type Driver struct {
	config Config
	mounts []mountSpec
	root   string // the directory of the homes
	system string // label of all containers that belong to this state directory
	engine *client.Client
	log    *slog.Logger
	auths  auths
	pulls  pulls
	watch  *watcher
	locker held.Locker
	facts  facts

	life   context.Context // ends with Close
	end    context.CancelFunc
	mu     sync.Mutex
	closed bool
	ways   map[string]*way
	audit  auditing
	wg     sync.WaitGroup // what begin has begun; grows only under mu, while not closed
}

var (
	_ backends.Driver   = (*Driver)(nil)
	_ backends.Limiter  = (*Driver)(nil)
	_ backends.Resident = (*Driver)(nil)
	_ backends.Remover  = (*Driver)(nil)
	_ backends.Checker  = (*Driver)(nil)
	_ backends.Auditor  = (*Driver)(nil)
)

// Open opens the driver from a configuration file's values. Code: Invalid.
func Open(o backends.Options) (backends.Driver, error) {
	c := Config{StateDir: o.StateDir, Environ: o.Environ, OnProgress: o.OnProgress, OnConnection: o.OnConnection, OnAudit: o.OnAudit, Log: o.Log}
	if err := backends.Decode(o.Values, &c); err != nil {
		return nil, err
	}
	return New(c)
}

// New opens the driver; the engine need not answer yet. Codes: Invalid, naming the field; Denied.
func New(c Config) (*Driver, error) {
	invalid := func(err error) (*Driver, error) {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "docker.Open", Err: err}
	}
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return invalid(err)
	}
	d := &Driver{config: c, log: c.Log, ways: map[string]*way{}, audit: auditing{looks: audit.NewLooks()}}
	dir, err := filepath.Abs(c.StateDir)
	if err != nil {
		return invalid(err)
	}
	d.root = filepath.Join(dir, "docker")
	if d.system, err = makeRoot(d.root); err != nil {
		code := sandbox.Invalid
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			code = sandbox.Denied
		}
		return nil, &sandbox.Error{Code: code, Op: "docker.Open", Err: fmt.Errorf("give another state directory or change its permissions: %w", err)}
	}
	if d.mounts, err = c.parseMounts(); err != nil { // the directory is there, so that links on its way are followed
		return invalid(err)
	}
	if d.auths, err = c.readAuths(); err != nil {
		return invalid(err)
	}
	if d.engine, err = c.client(); err != nil {
		return invalid(err)
	}
	d.life, d.end = context.WithCancel(context.Background())
	d.watch = newWatcher(d)
	d.locker = held.Locker{Begin: d.begin}
	d.removeGone()
	if err := d.snapshots().Clean(); err != nil {
		d.log.Warn("what is left of snapshots cannot be removed", "err", err)
	}
	d.warn()
	return d, nil
}

// makeRoot makes the directory of the homes, and gives the name by which its containers are known.
func makeRoot(root string) (system string, err error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return "", err
	}
	file := filepath.Join(root, ".system") // no id begins with a dot
	for {
		b, err := os.ReadFile(file)
		if err == nil {
			return strings.TrimSpace(string(b)), nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		// Another process may make it at the same time: a link does not replace what is there.
		fresh := file + "-" + sandbox.RandomHex(8)
		if err := os.WriteFile(fresh, []byte(sandbox.RandomHex(8)+"\n"), 0o600); err != nil {
			return "", err
		}
		err = os.Link(fresh, file)
		os.Remove(fresh)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
}

// Check says whether the engine answers and sandboxd can be found, and if not, what to do.
func (d *Driver) Check(ctx context.Context) error {
	if _, err := d.sandboxd(); err != nil {
		return failed("docker.Check", "", err)
	}
	if _, err := d.info(ctx); err != nil {
		return failed("docker.Check", "", err)
	}
	return nil
}

// Close lets go of all sandboxes, which live on. Idempotent.
func (d *Driver) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.end()
	d.wg.Wait()
	d.watch.letGo()
	return d.engine.Close()
}

// begin runs f in a goroutine that Close waits for; false if there was a Close already.
func (d *Driver) begin(f func()) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.wg.Go(f)
	return true
}

func (d *Driver) home(id sandbox.ID) home { return home(filepath.Join(d.root, string(id))) }

// removeGone removes the homes that a process was removing when it ended.
func (d *Driver) removeGone() {
	entries, _ := os.ReadDir(d.root)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), gonePrefix) {
			if err := held.RemoveTree(filepath.Join(d.root, e.Name())); err != nil {
				d.log.Warn("what is left of a sandbox cannot be removed", "dir", e.Name(), "err", err)
			}
		}
	}
}
