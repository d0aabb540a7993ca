package bench

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sandtree/sandtree/bench/target"
)

// An op is a thing that is asked of a runtime again and again.
type op struct {
	floor string // that it is compared with; "" is none
	// prepare does what must be there before, and gives what is measured.
	prepare func(ctx context.Context, s *scene, rt target.Runtime) (do func(context.Context) error, err error)
}

var ops = map[string]op{
	"true":       {floorTerminal, command("true", "")},
	"echo":       {floorTerminal, command("echo hello", "hello")},
	"output-1mb": {floorOutput, command(oneMB, strings.Repeat("x", 1000))},
	"write-10kb": {floorWriteKB, write(10_000)},
	"read-10kb":  {floorReadKB, read(10_000)},
	"write-10mb": {floorWriteMB, write(10_000_000)},
	"read-10mb":  {floorReadMB, read(10_000_000)},
	"cell":       {"", cell}, // a bare interpreter is a hundred times faster than any kernel, which says nothing
	"edit":       {floorWriteKB, edit},
}

// Ops names what scenarios can do.
func Ops() []string { return slices.Sorted(maps.Keys(ops)) }

// command runs a command that must succeed and print what starts with a text.
func command(line, want string) func(context.Context, *scene, target.Runtime) (func(context.Context) error, error) {
	return func(_ context.Context, _ *scene, rt target.Runtime) (func(context.Context) error, error) {
		return func(ctx context.Context) error {
			seen, err := rt.Run(ctx, line)
			if err == nil && (seen.Exit != 0 || !strings.HasPrefix(seen.Output, want)) {
				err = fmt.Errorf("%s: exit code %d, it printed %.60q", line, seen.Exit, seen.Output)
			}
			return err
		}, nil
	}
}

func write(size int) func(context.Context, *scene, target.Runtime) (func(context.Context) error, error) {
	return func(_ context.Context, s *scene, rt target.Runtime) (func(context.Context) error, error) {
		files, err := ability[target.Files](s, rt, "has no files that could be written")
		if err != nil {
			return nil, err
		}
		content := bytes.Repeat([]byte("x"), size)
		return func(ctx context.Context) error { return files.Write(ctx, "bench-write", content) }, nil
	}
}

func read(size int) func(context.Context, *scene, target.Runtime) (func(context.Context) error, error) {
	return func(ctx context.Context, s *scene, rt target.Runtime) (func(context.Context) error, error) {
		files, err := ability[target.Files](s, rt, "has no files that could be read")
		if err != nil {
			return nil, err
		}
		if err := files.Write(ctx, "bench-read", bytes.Repeat([]byte("x"), size)); err != nil {
			return nil, err
		}
		return func(ctx context.Context) error {
			n, err := files.Read(ctx, "bench-read")
			if err == nil && n < int64(size) {
				err = fmt.Errorf("%d bytes were read, not %d", n, size)
			}
			return err
		}, nil
	}
}

func cell(ctx context.Context, s *scene, rt target.Runtime) (func(context.Context) error, error) {
	python, err := ability[target.Interpreter](s, rt, "has no interpreter that lives on")
	if err != nil {
		return nil, err
	}
	do := func(ctx context.Context) error {
		out, err := python.Cell(ctx, "print(6 * 7)")
		if err == nil && !strings.Contains(out, "42") {
			err = s.cannot(fmt.Sprintf("runs no Python cell: it said %.100q", out))
		}
		return err
	}
	return do, do(ctx) // the first starts the interpreter
}

// edit replaces a word by another and back, in a file of 10 KB.
func edit(ctx context.Context, s *scene, rt target.Runtime) (func(context.Context) error, error) {
	editor, err := ability[target.Editor](s, rt, "has no editor")
	if err != nil {
		return nil, err
	}
	files, err := ability[target.Files](s, rt, "has no files that could be edited")
	if err != nil {
		return nil, err
	}
	seen, err := rt.Run(ctx, "pwd")
	if err != nil {
		return nil, err
	}
	path := strings.TrimSpace(seen.Output) + "/bench-edit"
	content := strings.Repeat("a line of text, as files have them\n", 140) + "word: before\n" + strings.Repeat("and further ones after it, as many\n", 140)
	if err := files.Write(ctx, "bench-edit", []byte(content)); err != nil {
		return nil, err
	}
	old, new := "word: before", "word: after"
	return func(ctx context.Context) error {
		err := editor.Edit(ctx, path, old, new)
		old, new = new, old
		return err
	}, nil
}
