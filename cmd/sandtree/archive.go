package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor"
)

func exportCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "export SNAPSHOT|ID FILE",
		Short: "Write a snapshot to a file, to take it elsewhere",
		Long: `Write a snapshot to a file; or, if there is no snapshot of that name, what files the runtime of that id has now. A single -
is stdout. The file is a tar archive compressed by zstd, with the directories workspace and home, with docker an image, with a
jail whose root is written to the layers of that, and their sums. Owners are kept in these alone. It can be imported for a backend of
the same kind: jail and local, a jail that has the same root and keeps what is written over it, or docker.`,
		Example: `  sandtree export before-upgrade before.tar.zst
  sandtree export web - | ssh elsewhere sandtree import - --name web`,
		Args:              wants(2, 2, "the name of a snapshot or the id of a runtime, and a file"),
		ValidArgsFunction: a.completeIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			system, err := a.system(cmd.Context(), nil)
			if err != nil {
				return err
			}
			a.closers = append(a.closers, closing(cmd.Context(), system))
			name, done, err := a.snapshotOf(cmd.Context(), system, args[0])
			if err != nil {
				return err
			}
			n, err := a.exportTo(cmd.Context(), system, name, args[1])
			if err := errors.Join(err, done()); err != nil {
				return err
			}
			if args[1] == "-" { // where nothing else belongs
				return nil
			}
			if a.json {
				return writeJSON(a.call.Stdout, map[string]any{"from": args[0], "file": args[1], "bytes": n})
			}
			fmt.Fprintf(a.call.Stderr, "%s: %.1f MB\n", args[1], float64(n)/1e6)
			return nil
		},
	}
}

// counter counts what is written through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// exportTo writes a snapshot to a file, whole or not at all.
func (a *app) exportTo(ctx context.Context, system *supervisor.System, name, file string) (int64, error) {
	if file == "-" {
		return 0, system.Export(ctx, name, a.call.Stdout, supervisor.ArchiveBounds{})
	}
	if err := exportable(file); err != nil {
		return 0, err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".sandtree-export-*")
	if err != nil {
		return 0, err
	}
	c := &counter{w: f}
	err = system.Export(ctx, name, c, supervisor.ArchiveBounds{})
	return c.n, errors.Join(err, finish(f, file, err == nil))
}

func importCommand(a *app) *cobra.Command {
	var name, backend string
	var bounds supervisor.ArchiveBounds
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Make a snapshot of a file that export has written",
		Long: `Make a snapshot of a file that sandtree export has written, here or elsewhere. A single - is stdin. The file need not be
trusted: nothing of it gets anywhere but into the snapshot, and it may hold no more than --most-bytes and --most-files. One that
is not whole, or of another kind of backend, is refused, and nothing of it stays.`,
		Example: `  sandtree import before.tar.zst
  sandtree import - --name web --backend jail <web.tar.zst
  sandtree fork $(sandtree import before.tar.zst)`,
		Args: wants(1, 1, "a file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			from := a.call.Stdin
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return &sandbox.Error{Code: sandbox.NotFound, Op: "import", Err: err}
				}
				defer f.Close()
				from = f
			}
			system, err := a.system(cmd.Context(), nil, backend)
			if err != nil {
				return err
			}
			a.closers = append(a.closers, closing(cmd.Context(), system))
			made, err := system.Import(cmd.Context(), backend, name, from, bounds)
			if err != nil {
				return err
			}
			if a.json {
				return writeJSON(a.call.Stdout, made)
			}
			fmt.Fprintln(a.call.Stdout, made.Name)
			fmt.Fprintln(a.call.Stderr, contents(made))
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "`name` of the snapshot (default: the one that it had)")
	cmd.Flags().StringVar(&backend, "backend", "", "`name` of the backend that is to have it (see sandtree config)")
	cmd.Flags().Int64Var(&bounds.Bytes, "most-bytes", 0, "`bytes` that it may hold, uncompressed (default 64 GB; negative any number)")
	cmd.Flags().Int64Var(&bounds.Files, "most-files", 0, "`files` that it may hold (default 4 million; negative any number)")
	return cmd
}
