package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor"
)

func cpCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "cp FROM TO",
		Short: "Copy files and directories into a runtime or out of it",
		Long: `Copy a file or directory into a runtime or out of it; the place in the runtime is written ID:PATH. A relative PATH
is below the workspace, and nothing outside it can be reached. If TO is a directory, or ends in a slash, the copy is
made in it, else under that name; directories that are missing are made. Of a directory, what is neither file, directory
nor link is left out. A single - is stdin or stdout. Write ./a:b for a local file with a colon in its name.`,
		Example: `  sandtree cp app.py web:src/
  sandtree cp web:build ./out
  sandtree cp web:log.txt - | tail
  tar -c . | sandtree cp - web:backup.tar`,
		Args: wants(2, 2, "FROM and TO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, to := place(args[0]), place(args[1])
			if (from.id == "") == (to.id == "") {
				return misuse(cmd, "want one of FROM and TO in a runtime, as ID:PATH, and the other here")
			}
			h, err := a.existing(cmd.Context(), from.id+to.id)
			if err != nil {
				return err
			}
			c := copying{app: a, rt: h.Runtime}
			if to.id != "" {
				err = c.in(cmd.Context(), from.path, to.path)
			} else {
				err = c.out(cmd.Context(), from.path, to.path)
			}
			if closed := h.close(cmd.Context()); err == nil {
				err = closed
			}
			if err == nil && a.json {
				err = writeJSON(a.call.Stdout, map[string]any{"from": args[0], "to": args[1], "bytes": c.bytes})
			}
			return err
		},
	}
}

// located is a path, here or in a runtime.
type located struct {
	id   sandbox.ID // "" is here
	path string
}

func place(s string) located {
	before, after, ok := strings.Cut(s, ":")
	if id := sandbox.ID(before); ok && id.Check() == nil {
		return located{id, after}
	}
	return located{path: s}
}

// existing opens a runtime that lives, without ending it later.
func (a *app) existing(ctx context.Context, id sandbox.ID) (*held, error) {
	if err := a.exists(ctx, id); err != nil {
		return nil, err
	}
	return a.hold(ctx, placement{id: string(id), keep: true}, nil)
}

// exists answers NotFound if there is no living runtime of that id.
func (a *app) exists(ctx context.Context, id sandbox.ID) error {
	rows, err := a.runtimes(ctx)
	if err == nil && !slices.ContainsFunc(rows, func(r listed) bool { return r.ID == id && r.lives() }) {
		err = &sandbox.Error{Code: sandbox.NotFound, Op: "runtime", ID: id, Err: errors.New("no such runtime is alive; `sandtree ls` lists those that are")}
	}
	return err
}

// copying is one copy.
type copying struct {
	app   *app
	rt    *supervisor.Runtime
	bytes int64 // moved
}

func (c *copying) Write(p []byte) (int, error) {
	c.bytes += int64(len(p))
	return len(p), nil
}

// in copies a local file or directory into the runtime.
func (c *copying) in(ctx context.Context, from, to string) error {
	if from == "-" {
		return c.rt.Put(ctx, to, io.TeeReader(c.app.call.Stdin, c))
	}
	stat, err := os.Stat(from)
	if err != nil {
		return &sandbox.Error{Code: sandbox.NotFound, Op: "cp", Err: err}
	}
	if base := baseName(from); base != "" && (strings.HasSuffix(to, "/") || to == "" || c.isDir(ctx, to)) {
		to = path.Join(to, base)
	}
	if stat.IsDir() {
		return c.putTree(ctx, from, orWorkspace(to))
	}
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	return c.rt.Put(ctx, to, io.TeeReader(f, c))
}

func (c *copying) putTree(ctx context.Context, from, to string) error {
	r, w := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := pack(from, io.MultiWriter(w, c))
		w.CloseWithError(err) // nil is the end
		packed <- err
	}()
	err := c.rt.PutTree(ctx, to, r)
	r.CloseWithError(errors.New("nobody reads")) // ends pack if it goes on
	if mine := <-packed; err == nil || mine != nil && !errors.Is(mine, io.ErrClosedPipe) && sandbox.CodeOf(err) == sandbox.Internal {
		return mine
	}
	return err
}

// out copies a file or directory of the runtime here.
func (c *copying) out(ctx context.Context, from, to string) error {
	if to == "-" {
		return c.rt.Get(ctx, from, io.MultiWriter(c.app.call.Stdout, c))
	}
	stat, err := os.Stat(to)
	inside := strings.HasSuffix(to, string(filepath.Separator)) || err == nil && stat.IsDir()
	if base := baseName(from); inside && base != "" {
		to = filepath.Join(to, base)
	}
	if c.isDir(ctx, orWorkspace(from)) {
		return c.getTree(ctx, orWorkspace(from), to)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(to), ".sandtree-cp-*")
	if err != nil {
		return err
	}
	err = c.rt.Get(ctx, from, io.MultiWriter(f, c))
	return errors.Join(err, finish(f, to, err == nil))
}

// finish gives a file that was written under another name its own, or takes it away.
func finish(f *os.File, path string, good bool) error {
	err := f.Close()
	if good && err == nil {
		err = os.Chmod(f.Name(), 0o644) // as any file that a program writes for its user
	}
	if good && err == nil {
		err = os.Rename(f.Name(), path)
	}
	if !good || err != nil {
		os.Remove(f.Name())
	}
	return err
}

func (c *copying) getTree(ctx context.Context, from, to string) error {
	r, w := io.Pipe()
	unpacked := make(chan error, 1)
	go func() {
		err := unpack(r, to)
		if err == nil {
			_, err = io.Copy(io.Discard, r) // what pads the archive
		}
		r.CloseWithError(err)
		unpacked <- err
	}()
	err := c.rt.GetTree(ctx, from, io.MultiWriter(w, c))
	w.CloseWithError(err)
	if mine := <-unpacked; mine != nil && (err == nil || errors.Is(err, mine)) {
		return fmt.Errorf("%s: %w", to, mine)
	}
	return err
}

// isDir says whether a path of the runtime is a directory.
func (c *copying) isDir(ctx context.Context, path string) bool {
	_, err := c.rt.List(ctx, path)
	return err == nil
}

// baseName is the name that a copy of path has; "" if it is the content of path that is meant.
func baseName(p string) string {
	if p = path.Base(filepath.ToSlash(p)); p == "." || p == ".." || p == "/" {
		return ""
	}
	return p
}

// orWorkspace is a path in the runtime, where "" is the workspace.
func orWorkspace(p string) string {
	if p == "" {
		return "."
	}
	return p
}
