// Package cli is the frame of a main function: it turns signals into the end of a context and an error into an exit
// status, so that what a program does is an ordinary function, which tests call.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// Call is what a program gets from whoever starts it.
type Call struct {
	Args   []string // without the program's name
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer

	interrupts *interrupts
}

// Interrupts is for a program that hands SIGINT on to what it runs: from now on each is a value in the channel, which
// has room for two, and does not end ctx or the program. The other signals do as before.
func (c Call) Interrupts() <-chan struct{} {
	if c.interrupts == nil { // the program runs in a test
		return nil
	}
	return c.interrupts.take()
}

// interrupts is where SIGINT goes.
type interrupts struct {
	mu sync.Mutex
	to chan struct{} // nil: it ends the context
}

func (i *interrupts) take() <-chan struct{} {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.to == nil {
		i.to = make(chan struct{}, 2)
	}
	return i.to
}

// handOn says whether s is somebody else's matter.
func (i *interrupts) handOn(s os.Signal) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if s != os.Interrupt || i.to == nil {
		return false
	}
	select {
	case i.to <- struct{}{}:
	default: // whoever does not take two takes no third
	}
	return true
}

// Run is a program. ctx ends with the first SIGINT, SIGTERM or SIGHUP.
type Run func(ctx context.Context, c Call) error

// Status is an exit status that run chose itself, say that of a command it ran. Nothing is printed for it.
type Status int

func (s Status) Error() string { return "exit status " + strconv.Itoa(int(s)) }

// Main runs a program with what the process was given and returns its exit status: 0 for nil and for flag.ErrHelp, what
// a Status says, 128 plus the signal's number if a signal ended it, else that of ExitStatus, after the error was
// printed behind name. A second signal ends the process at once: whoever sends two means it (see echo). The further signals end ctx
// too, as SIGQUIT should for a program that has something to clean up and needs no dump of its goroutines.
func Main(name string, run Run, further ...os.Signal) int {
	return runWith(name, run, Call{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}, further...)
}

func runWith(name string, run Run, c Call, further ...os.Signal) int {
	c.interrupts = &interrupts{}
	ctx, stop := signalContext(c.interrupts, further)
	err := run(ctx, c)
	stop()
	var status Status
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &status):
		return int(status)
	}
	if sig, ok := errors.AsType[signaled](context.Cause(ctx)); ok && sandbox.CodeOf(err) == sandbox.Canceled {
		return 128 + int(sig.Signal)
	}
	fmt.Fprintf(c.Stderr, "%s: %v\n", name, err)
	return ExitStatus(err)
}

// signaled is the cause of a context that a signal ended.
type signaled struct{ syscall.Signal }

func (s signaled) Error() string { return s.Signal.String() }

// echo is how long after a signal the same one is no second: timeout(1) sends it to the process and to its group.
const echo = 200 * time.Millisecond

// A stop is the signal that ended the context.
type stop struct {
	by syscall.Signal
	at time.Time
}

// means says whether whoever sent one more signal wants the process to end at once.
func (s stop) means(next syscall.Signal, at time.Time) bool {
	return next != s.by || at.Sub(s.at) > echo
}

func signalContext(i *interrupts, further []os.Signal) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	for _, s := range append([]os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}, further...) {
		if !signal.Ignored(s) { // nohup stays nohup
			signal.Notify(signals, s)
		}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		var first *stop
		for {
			select {
			case s := <-signals:
				if i.handOn(s) {
					continue
				}
				sig := s.(syscall.Signal) // all of them are, on Unix
				switch now := time.Now(); {
				case first == nil:
					first = &stop{sig, now}
					cancel(signaled{sig})
				case first.means(sig, now):
					os.Exit(128 + int(sig))
				}
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		<-ended
		cancel(nil)
	}
}

// ExitStatus is the exit status for err, by its code: 0 for nil, 1 for Internal and for errors that are not ours, 2 for
// Invalid as usual for wrong usage, then one for each code.
func ExitStatus(err error) int {
	switch sandbox.CodeOf(err) {
	case "":
		return 0
	case sandbox.Invalid:
		return 2
	case sandbox.NotFound:
		return 3
	case sandbox.Conflict:
		return 4
	case sandbox.Denied:
		return 5
	case sandbox.Exhausted:
		return 6
	case sandbox.Unavailable:
		return 7
	case sandbox.Lost:
		return 8
	case sandbox.Unsupported:
		return 9
	case sandbox.Canceled:
		return 130 // as if by SIGINT
	}
	return 1
}
