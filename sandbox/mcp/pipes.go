package mcp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// pipes are those to and from a program that is to be started, from its descriptor 0 on.
type pipes struct {
	theirs, ours []*os.File
	err          error
}

// to makes a pipe that the program reads; it gives our end, nil if one has failed.
func (p *pipes) to() *os.File {
	r, w := p.make()
	return p.add(r, w)
}

// from makes a pipe that the program writes.
func (p *pipes) from() *os.File {
	r, w := p.make()
	return p.add(w, r)
}

func (p *pipes) make() (r, w *os.File) {
	if p.err == nil {
		r, w, p.err = os.Pipe()
	}
	return r, w
}

func (p *pipes) add(theirs, ours *os.File) *os.File {
	if p.err == nil {
		p.theirs, p.ours = append(p.theirs, theirs), append(p.ours, ours)
	}
	return ours
}

func (p *pipes) closeTheirs() { closeAll(p.theirs) }
func (p *pipes) closeOurs()   { closeAll(p.ours) }

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// A tail keeps the last bytes written to it. Safe for concurrent use.
type tail struct {
	mu  sync.Mutex
	buf []byte
	max int
}

func newTail(limit int) *tail { return &tail{max: limit} }

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	if n >= t.max {
		t.buf = append(t.buf[:0], p[n-t.max:]...)
		return n, nil
	}
	if over := len(t.buf) + n - t.max; over > 0 {
		t.buf = slices.Delete(t.buf, 0, over)
	}
	t.buf = append(t.buf, p...)
	return n, nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(strings.ToValidUTF8(string(t.buf), "\ufffd"))
}

// environment is that of a program: what all have, and its own, which has the last word.
func (h *Hub) environment(own map[string]string) []string {
	var env []string
	if h.config.Env != nil {
		env = slices.Clone(h.config.Env())
	}
	env = slices.DeleteFunc(env, func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		_, replaced := own[name]
		return replaced
	})
	for name, value := range own {
		env = append(env, name+"="+value)
	}
	return env
}

// lookPath finds the program that command names: a path, relative to dir, or a name in the PATH of env.
func lookPath(command, dir string, env []string) (string, error) {
	if strings.Contains(command, "/") {
		if !filepath.IsAbs(command) {
			command = filepath.Join(dir, command)
		}
		return command, executable(command)
	}
	path := ""
	for _, v := range env {
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			path = value
		}
	}
	for _, d := range filepath.SplitList(path) {
		if !filepath.IsAbs(d) {
			d = filepath.Join(dir, d) // "" is the directory itself
		}
		if file := filepath.Join(d, command); executable(file) == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("there is no program %q in PATH (%s): install it, or give its path", command, path)
}

func executable(file string) error {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("there is no program %s: install it, or correct the command", file)
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a directory, not a program", file)
	case info.Mode()&0o111 == 0:
		return &os.PathError{Op: "execute", Path: file, Err: syscall.EACCES}
	}
	return nil
}
