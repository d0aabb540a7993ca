package dockerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/docker/docker/client"
)

// Engine is a private Docker engine.
type Engine struct {
	dir    string // holds all that is on disk
	name   string // of its bridge and control groups; unique on this machine
	bridge bool   // it could be made
	mu     sync.Mutex
	daemon *exec.Cmd
	ended  chan struct{} // closed when daemon has
}

// startTime bounds the start of an engine, which takes 2 s on a quiet machine.
const startTime = 60 * time.Second

func start() (*Engine, error) {
	removeStale()
	dir, err := os.MkdirTemp("", "std-") // short: a socket's path may have 107 bytes
	if err != nil {
		return nil, err
	}
	e := &Engine{dir: dir, name: "std" + strconv.Itoa(os.Getpid())}
	if err := os.WriteFile(e.path("owner"), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	e.bridge = addBridge(e.name) == nil
	if err := e.Start(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func (e *Engine) path(name string) string { return filepath.Join(e.dir, name) }

// Host is the engine's address.
func (e *Engine) Host() string { return "unix://" + e.path("sock") }

// Bridged says whether containers can have a network, and with it published ports.
func (e *Engine) Bridged() bool { return e.bridge }

// Start starts the daemon and returns when it answers. It may be called again after Stop or Kill.
func (e *Engine) Start() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	log, err := os.OpenFile(e.path("log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	bridge := "none"
	if e.bridge {
		bridge = e.name
	}
	e.daemon = exec.Command("dockerd", "--data-root", e.path("data"), "--exec-root", e.path("exec"), "-H", e.Host(),
		"--pidfile", e.path("pid"), "--cgroup-parent", "/"+e.name, "--bridge", bridge, "--iptables=false", "--ip6tables=false",
		"--ip-forward=false", "--ip-masq=false")
	e.daemon.Stdout, e.daemon.Stderr = log, log
	// Should this process be killed, so that Close is never called, the daemon ends too.
	e.daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	e.ended = make(chan struct{})
	begun := make(chan error)
	go func(cmd *exec.Cmd, ended chan struct{}) {
		runtime.LockOSThread() // Pdeathsig is sent when the thread that forked ends
		begun <- cmd.Start()
		if cmd.Process != nil {
			cmd.Wait()
		}
		close(ended)
	}(e.daemon, e.ended)
	if err := <-begun; err != nil {
		return err
	}
	return e.await()
}

// await waits until the engine answers. It is asked again and again: it does not say when it does.
func (e *Engine) await() error {
	c, err := client.NewClientWithOpts(client.WithHost(e.Host()), client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err = c.Ping(ctx); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-e.ended:
			return fmt.Errorf("dockerd ended before it answered:%s", e.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("dockerd does not answer within %v: %w%s", startTime, err, e.lastWords())
		}
	}
}

// Stop asks the daemon to end, which ends all containers, and waits for it.
func (e *Engine) Stop() { e.end(syscall.SIGTERM) }

// Kill ends the daemon by force; containers live on until the next one starts.
func (e *Engine) Kill() { e.end(syscall.SIGKILL) }

func (e *Engine) end(sig syscall.Signal) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.daemon == nil || e.daemon.Process == nil {
		return
	}
	e.daemon.Process.Signal(sig)
	select {
	case <-e.ended:
	case <-time.After(startTime):
		e.daemon.Process.Kill()
		<-e.ended
	}
	e.daemon = nil
	e.forgetContainerd()
}

// forgetContainerd waits for the end of the containerd of a daemon that has ended, which the kernel kills with it. As long
// as nobody has reaped it the next daemon would take it for alive, so the note of its number is removed.
func (e *Engine) forgetContainerd() {
	note := e.path("exec/containerd/containerd.pid")
	b, err := os.ReadFile(note)
	if err != nil {
		return
	}
	for range 100 {
		stat, err := os.ReadFile("/proc/" + string(bytes.TrimSpace(b)) + "/stat")
		if err != nil || bytes.Contains(stat, []byte("(containerd) Z")) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	os.Remove(note)
}

// Close ends the engine and removes all that it has made. Idempotent.
func (e *Engine) Close() error {
	e.Stop()
	return e.remove()
}

func (e *Engine) lastWords() string {
	b, _ := os.ReadFile(e.path("log"))
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return "\n" + string(bytes.Join(lines[max(0, len(lines)-8):], []byte("\n")))
}
