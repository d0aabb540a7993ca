package browser

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/child"
	"github.com/sandtree/sandtree/sandbox"
)

// startTime bounds how long Chromium may take until it answers: it takes half a second on an idle machine.
const startTime = 60 * time.Second

// smallShm is the size of /dev/shm, in bytes, below which pages crash for want of shared memory. Containers have 64 MiB.
const smallShm = 256 << 20

// flags are those of every browser: no window, no questions, and nothing asked of the network but by pages.
const flags = `--headless=new --remote-debugging-pipe --no-first-run --no-default-browser-check
	--disable-background-networking --disable-component-update --disable-sync --disable-default-apps --disable-extensions
	--disable-client-side-phishing-detection --disable-search-engine-choice-screen --disable-domain-reliability
	--disable-breakpad --disable-crash-reporter --disable-hang-monitor --disable-prompt-on-repost --disable-popup-blocking
	--disable-ipc-flooding-protection --disable-renderer-backgrounding --disable-backgrounding-occluded-windows
	--disable-background-timer-throttling --disable-smooth-scrolling --disable-gpu --mute-audio --hide-scrollbars
	--metrics-recording-only --no-service-autorun --password-store=basic --use-mock-keychain --force-color-profile=srgb
	--lang=en-US --window-size=1280,720 --noerrdialogs --disable-site-isolation-trials
	--disable-features=IsolateOrigins,site-per-process,BackForwardCache,Translate,MediaRouter,OptimizationHints,DialMediaRouteProvider,PaintHolding,HttpsUpgrades,AutofillServerCommunication,CertificateTransparencyComponentUpdater`

// A process is a running Chromium, and the directory of what it keeps.
type process struct {
	*child.Child
	config  Config
	dir     string // profile, cache and temporary files
	log     *slog.Logger
	told    chan struct{} // closed when all that it prints has been read
	last    string        // line printed that tells of an error; after told
	starved atomic.Bool   // it has printed that it could not have a process or thread
	err     *os.File
}

// launch starts Chromium and gives the ends of its DevTools pipes. sandboxed asks for its own sandbox.
func launch(c Config, path string, sandboxed bool) (p *process, r, w *os.File, err error) {
	var pipes [3][2]*os.File // commands, events, what it prints
	closeAll := func() {
		for _, pipe := range pipes {
			for _, f := range pipe {
				if f != nil {
					f.Close()
				}
			}
		}
	}
	for i := range pipes {
		if pipes[i][0], pipes[i][1], err = os.Pipe(); err != nil {
			closeAll()
			return nil, nil, nil, err
		}
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		closeAll()
		return nil, nil, nil, err
	}
	defer null.Close()
	p = &process{config: c, log: c.Log, told: make(chan struct{}), err: pipes[2][0]}
	if p.dir, err = profile(c); err != nil {
		closeAll()
		return nil, nil, nil, err
	}
	args := commandLine(path, p.dir, sandboxed)
	p.Child, err = child.Start(c.Child, child.Command{Path: path, Args: args, Env: environment(c.Env(), p.dir), Dir: p.dir, Name: "browser",
		Files: []*os.File{null, null, pipes[2][1], pipes[0][0], pipes[1][1]}})
	if err != nil {
		closeAll()
		return nil, nil, nil, errors.Join(c.unforked(err), os.RemoveAll(p.dir))
	}
	for _, f := range []*os.File{pipes[2][1], pipes[0][0], pipes[1][1]} {
		f.Close()
	}
	go p.listen() // ends with the process
	return p, pipes[1][0], pipes[0][1], nil
}

func commandLine(path, dir string, sandboxed bool) []string {
	args := append([]string{filepath.Base(path)}, strings.Fields(flags)...)
	args = append(args, "--user-data-dir="+dir, "--disk-cache-size=67108864")
	if !sandboxed {
		args = append(args, "--no-sandbox", "--no-zygote")
	}
	var fs unix.Statfs_t
	if unix.Statfs("/dev/shm", &fs) != nil || fs.Blocks*uint64(fs.Bsize) < smallShm {
		args = append(args, "--disable-dev-shm-usage")
	}
	return append(args, "about:blank")
}

// maxProfile is how long the path of the profile may be, in bytes: Chromium makes a socket below it, whose path
// (org.chromium.Chromium.123456/SingletonSocket) the kernel bounds to 107.
const maxProfile = 107 - 46

// profiles says where profiles are made, and what their names begin with.
func profiles(c Config) (temp, prefix string) {
	if temp, prefix = c.TempDir, "chromium-"; c.Mark != "" {
		prefix += c.Mark + "-"
	}
	if temp == "" {
		temp = os.TempDir()
	}
	if len(temp)+1+len(prefix)+10 > maxProfile {
		temp = "/tmp"
	}
	return temp, prefix
}

// RemoveLeft removes the profiles that earlier servers of this sandbox have left, none of whose browsers runs. Before the
// first start.
func (b *Browser) RemoveLeft() error { return b.config.removeLeft() }

func (c Config) removeLeft() error {
	if c.Mark == "" {
		return nil
	}
	temp, prefix := profiles(c)
	left, err := filepath.Glob(filepath.Join(temp, prefix+"*"))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// profile makes the browser's own directory.
func profile(c Config) (string, error) {
	dir, err := os.MkdirTemp(profiles(c))
	if err != nil {
		return "", err
	}
	if u := c.Child.User; u != nil {
		if err := os.Lchown(dir, int(u.Uid), int(u.Gid)); err != nil {
			return "", errors.Join(err, os.Remove(dir))
		}
	}
	return dir, nil
}

// environment is that of programs, but what Chromium and its libraries write by themselves goes where it is removed, and no
// message bus is looked for, which might start one.
func environment(env []string, dir string) []string {
	return append(env[:len(env):len(env)], "TMPDIR="+dir, "XDG_CONFIG_HOME="+dir, "XDG_CACHE_HOME="+dir, "XDG_RUNTIME_DIR="+dir,
		"DBUS_SESSION_BUS_ADDRESS=unix:path=/dev/null", "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/dev/null")
}

// listen reads what the browser prints, for the log.
func (p *process) listen() {
	defer close(p.told)
	defer p.err.Close()
	in := bufio.NewReaderSize(p.err, 4096)
	for {
		line, err := in.ReadSlice('\n')
		if text := strings.TrimSpace(string(line)); text != "" {
			if starving(text) {
				p.starved.Store(true)
			}
			if p.last == "" || strings.Contains(text, "FATAL") || strings.Contains(text, "sandbox") {
				p.last = text
			}
			p.log.Debug("browser", "printed", text)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// end kills the browser and removes its directory. It may be called again.
func (p *process) end() error {
	err := p.Close()
	p.err.SetReadDeadline(time.Now()) // a process that escaped may still hold the other end
	<-p.told
	return errors.Join(err, os.RemoveAll(p.dir))
}

// cause tells why the browser has ended.
func (p *process) cause() string {
	exit := p.Exit()
	how := fmt.Sprintf("exit code %d", exit.Code)
	if exit.Signal != 0 {
		how = "signal: " + exit.Signal.String()
		if exit.Signal == syscall.SIGKILL {
			how += ", perhaps for want of memory"
		}
	}
	return how
}

// start launches a browser and waits until it answers: in its own sandbox if that can be, else without.
func start(ctx context.Context, c Config, path string, try bool) (*engine, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, failed("TimeoutError", "Chromium did not answer within %s", startTime))
	defer cancel()
	var errs []error
	for _, sandboxed := range []bool{true, false} {
		if sandboxed && !try {
			continue
		}
		e, err := startOne(ctx, c, path, sandboxed)
		if err == nil {
			return e, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
		c.Log.Warn("the browser does not start", "sandboxed", sandboxed, "err", err)
	}
	if err := context.Cause(ctx); err != nil && ctx.Err() != nil {
		return nil, err
	}
	return nil, &sandbox.Error{Code: sandbox.Unavailable, Op: "browse", Err: fmt.Errorf(
		"the browser %s does not start: %w", path, errs[len(errs)-1])}
}

func startOne(ctx context.Context, c Config, path string, sandboxed bool) (*engine, error) {
	p, r, w, err := launch(c, path, sandboxed)
	if err != nil {
		return nil, err
	}
	e := newEngine(p, r, w, sandboxed)
	if err = e.begin(ctx, c); err == nil {
		return e, nil
	}
	stopped := e.close()
	if errors.Is(err, errLost) {
		err = fmt.Errorf("%s: %s", p.cause(), p.last)
	}
	return nil, errors.Join(p.explain(err), stopped)
}
