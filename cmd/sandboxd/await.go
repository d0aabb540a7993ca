package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/cli"
	"github.com/sandtree/sandtree/sandbox/server"
)

const (
	waitsFD = 3 // where a server that waits says so, when there is nothing else to do
	orderFD = 6 // where it is told what it is to be
)

// runAwait is run once it is known with which arguments.
func runAwait(ctx context.Context, c cli.Call) (err error) {
	for fd := 3; fd <= orderFD; fd++ {
		unix.CloseOnExec(fd)
	}
	defer inheritNoIgnored()()
	environ, _ := takeKey(os.Environ())
	environ = slices.DeleteFunc(environ, func(v string) bool { return strings.HasPrefix(v, "HOME=") }) // nobody is at home yet
	shell := server.PrepareShell(server.Config{Env: environ, Mark: variable(environ, server.EnvMark)})
	defer shell.Close() // if there comes to be no server
	populate()
	_, _ = unix.Write(waitsFD, []byte{'w'}) // whoever should hear it is about to be missed
	if c.Args, err = await(ctx); c.Args == nil || err != nil {
		return err
	}
	return serveBy(ctx, c, readOrder(c.Args), shell)
}

// await is how a server begins that was started before it was known for whom: it has nothing yet, and waits for its command
// line. That comes as the path of its log, the number of arguments and the arguments, each ended by a NUL byte. If whoever
// started it ends before, or changes its mind, nobody needs it, and args is nil.
func await(ctx context.Context) (args []string, err error) {
	if err := unix.SetNonblock(orderFD, true); err != nil { // so that the wait can be given up
		return nil, invalid("await", fmt.Errorf("descriptor %d: %w", orderFD, err))
	}
	f := os.NewFile(orderFD, "order")
	defer f.Close()
	defer context.AfterFunc(ctx, func() { f.Close() })()
	// Go forks once to learn what the kernel knows of pidfds, before the first process; here nobody waits for that.
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Release()
	}
	b, err := io.ReadAll(f)
	if ctx.Err() != nil || len(b) == 0 && err == nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	fields := strings.Split(string(b), "\x00")
	if len(fields) < 3 {
		return nil, invalid("await", errors.New("the order is cut short"))
	}
	n, err := strconv.Atoi(fields[1])
	if err != nil || len(fields) != n+3 || fields[n+2] != "" {
		return nil, invalid("await", errors.New("the order is cut short"))
	}
	return fields[2 : n+2], logTo(fields[0])
}

// logTo makes a file the standard output and error, where the runtime writes too if it fails.
func logTo(path string) error {
	log, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer log.Close()
	for _, fd := range []int{1, 2} {
		if err := unix.Dup3(int(log.Fd()), fd, 0); err != nil {
			return os.NewSyscallError("dup3", err)
		}
	}
	return nil
}
