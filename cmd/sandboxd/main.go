// Command sandboxd is the server that runs inside a sandbox: see package server for what it does. It is one static file
// that needs nothing but a bash beside it.
//
// Everything it starts ends with it; everything that a killed sandboxd has left ends when the next one starts with the
// same state directory.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/internal/audit"
	"github.com/sandtree/sandtree/internal/cli"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/sandbox/shell"
)

var version = "dev" // set by the linker

func main() {
	os.Exit(cli.Main("sandboxd", run))
}

// stopTime bounds a stop: ending what a sandbox runs takes milliseconds, or for ever if its kernel is stuck.
const stopTime = 20 * time.Second

func run(ctx context.Context, c cli.Call) error {
	if len(c.Args) == 1 && c.Args[0] == "stage" {
		return runStage(ctx, c)
	}
	if len(c.Args) == 1 && c.Args[0] == "await" {
		return runAwait(ctx, c)
	}
	if len(c.Args) == 1 && c.Args[0] == "audit" {
		return audit.Keep() // not ended by a signal: it ends with its sandbox
	}
	// Before the first program is started the runtime starts a process to see what the kernel can do. That is the shell's
	// time, so it is done while the flags are read.
	go os.FindProcess(os.Getpid())
	return serveBy(ctx, c, readOrder(c.Args), nil)
}

// An order is what a server was asked to be, by its command line and environment.
type order struct {
	flags   *flags
	environ []string // without the key
	key     string
	err     error
}

func readOrder(args []string) *order {
	o := &order{}
	o.environ, o.key = takeKey(os.Environ())
	o.flags, o.err = parse(args, o.environ)
	return o
}

// serveBy runs the server that was ordered. prepared is its shell, if it turns out to be the right one; nil is none.
func serveBy(ctx context.Context, c cli.Call, o *order, prepared *shell.Prepared) error {
	defer inheritNoIgnored()()
	f, environ, key := o.flags, o.environ, o.key
	switch err := o.err; {
	case errors.Is(err, errHelp):
		fmt.Fprint(c.Stdout, f.usage())
		return nil
	case err != nil:
		return err
	case f.version:
		fmt.Fprintln(c.Stdout, "sandboxd", version)
		return nil
	}
	letGo(c.Args, f.readyFD)
	log := logger(c.Stderr, f)
	for _, note := range f.notes {
		log.Warn(note)
	}
	hideMemory(log)
	spareThreads(f.spare)
	f.shell = prepared
	config, err := f.config(environ, key, log)
	defer func() { f.letGo(config) }() // if there comes to be no server
	if err != nil {
		return err
	}
	config.Shell = server.PrepareShell(config) // which takes longer to load than all that comes now
	if err := f.wantKey(config.Key); err != nil {
		return err
	}
	ln := f.listener
	if f.listener = nil; ln == nil {
		if ln, err = listen(f.listen); err != nil {
			return err
		}
	}
	if f.openHands {
		if config.Viewer, err = listenViewer(ln.Addr()); err != nil {
			log.Warn("there is no file viewer", "err", err)
		}
		config.ViewerFile = viewerFile
	}
	if config.Key == "" && ln.Addr().Network() != "unix" {
		log.Warn("there is no key: whoever reaches this address can run anything", "address", ln.Addr().String())
	}
	return serve(ctx, config, ln, f.readyFD, log)
}

// serve runs a server until ctx ends or nobody is left who wants it. It closes ln.
func serve(ctx context.Context, config server.Config, ln net.Listener, readyFD int, log *slog.Logger) error {
	threads := newThreads()
	config.Crowded = func(many bool) {
		threads.crowded(many)
		allowGarbage(many)
	}
	s, err := server.New(ctx, config)
	if err != nil {
		ln.Close()
		if sandbox.CodeOf(err) == sandbox.Canceled { // a stop that came early is one all the same
			return nil
		}
		return err
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }() // ends with Shutdown, below
	select {
	case <-s.Ready():
		if s.Err() != nil { // which Serve says
			break
		}
		if readyFD >= 0 {
			if err := tellReady(readyFD); err != nil {
				log.Error("telling that the server is ready", "fd", readyFD, "err", err)
			}
		}
		threads.set(1)
		log.Info("ready", "address", ln.Addr().String(), "owner", config.Owner, "epoch", config.Epoch, "version", version)
		defer saveMemory()()
	case <-ctx.Done():
	}
	select {
	case <-ctx.Done():
		log.Info("stopping", "cause", context.Cause(ctx))
	case <-s.Orphaned():
		log.Warn("stopping: nobody has asked for anything", "for", config.OrphanAfter)
	case err = <-served:
		served <- nil
	}
	// The stop must not end with what caused it.
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	stopErr := s.Shutdown(bound)
	return errors.Join(err, <-served, stopErr)
}

// inheritNoIgnored keeps programs from inheriting that a signal is ignored, as those of a script's background job do:
// C-c would do nothing to them. What is caught here is the default there. SIGPIPE is caught too, else a log that nobody
// reads any more would end the server.
func inheritNoIgnored() (stop func()) {
	dropped := make(chan os.Signal, 1)
	signal.Notify(dropped, syscall.SIGPIPE)
	for s := syscall.Signal(1); s < 65; s++ {
		if signal.Ignored(s) {
			signal.Notify(dropped, s)
		}
	}
	return func() { signal.Stop(dropped) }
}

// tellReady writes one byte to a descriptor that whoever started us has handed down.
func tellReady(fd int) error {
	f := os.NewFile(uintptr(fd), "ready")
	if f == nil {
		return fmt.Errorf("descriptor %d is none", fd)
	}
	if fd > 2 { // what is opened next must not become the standard output
		defer f.Close()
	}
	_, err := f.Write([]byte{'\n'})
	return err
}

func logger(w io.Writer, f *flags) *slog.Logger {
	options := &slog.HandlerOptions{Level: f.logLevel}
	if f.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

func invalid(flag string, err error) error {
	return &sandbox.Error{Code: sandbox.Invalid, Op: flag, Err: err}
}
