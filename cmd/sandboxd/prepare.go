package main

import (
	"log/slog"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/sandbox/server"
)

// prepare starts the shell that most sandboxes will have while nobody has said yet what this one's is to be: that takes
// longer than all that is left to do afterwards. It is that of a sandbox without variables of its own; if there turn out to be
// some, the server starts another. What the server has in its state directory and its socket are opened meanwhile. Nothing is done
// where what is waited for is there already.
func (f *flags) prepare(c server.Config, environ []string, log *slog.Logger) server.Config {
	if f.openHands || f.username != "" || f.shell != nil || !waits(f.envFile) {
		return c
	}
	guess := c
	guess.Env, guess.Mark = environ, variable(environ, server.EnvMark)
	c.Shell = server.PrepareShell(guess)
	c.State = server.OpenState(guess)
	f.listenEarly()
	if f.callSocket != "" && f.envFile == "-" {
		f.caller, _ = expectCaller(f.callSocket) // without it, there is standard input
	}
	if f.announce && f.readyFD >= 0 {
		populate()
		if _, err := unix.Write(f.readyFD, []byte{'w'}); err != nil { // whoever should hear it is about to be missed
			log.Warn("telling that the server waits", "fd", f.readyFD, "err", err)
		}
	}
	return c
}

// listenEarly opens the socket, where only this user reaches it: who connects waits. What is wrong with it is said when it is needed.
func (f *flags) listenEarly() {
	if strings.HasPrefix(f.listen, "unix:") {
		f.listener, _ = listen(f.listen)
	}
}

// extra reads the variables of --env-file, or what whoever calls says instead, who is told when the server answers.
func (f *flags) extra() ([]string, error) {
	if f.caller == nil {
		return readEnv(f.envFile, os.Stdin)
	}
	fd, called := f.caller.wait()
	if !called {
		return readEnv(f.envFile, os.Stdin)
	}
	f.readyFD = fd // which ends the call
	return readEnv(f.envFile, call(fd))
}

// letGo ends what was prepared, unless it is the server's.
func (f *flags) letGo(c server.Config) {
	c.Shell.Close()
	c.State.Close()
	if f.listener != nil {
		f.listener.Close()
	}
}

// waits says whether a read of a file of --env-file would wait.
func waits(file string) bool {
	fd := 0
	if file != "-" {
		n, ok := strings.CutPrefix(file, "/dev/fd/")
		var err error
		if fd, err = strconv.Atoi(n); !ok || err != nil {
			return false
		}
	}
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return n == 0 && err == nil
}
