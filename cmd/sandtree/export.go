package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sandtree/sandtree/sandbox"
)

// lastEvent is the number of the runtime's last event, if that is wanted.
func (a *app) lastEvent(ctx context.Context, id sandbox.ID, wanted bool) (uint64, error) {
	if !wanted {
		return 0, nil
	}
	j, err := a.journal()
	if err != nil {
		return 0, err
	}
	row, err := j.Runtime(ctx, id)
	return row.LastSeq, err
}

// exportable refuses, before anything is done, a path at which no file can be written. "" is none.
func exportable(path string) error {
	if path == "" {
		return nil
	}
	dir, err := os.Stat(filepath.Dir(path))
	switch stat, at := os.Stat(path); {
	case err != nil:
	case !dir.IsDir():
		err = fmt.Errorf("%s is no directory", filepath.Dir(path))
	case at == nil && !stat.Mode().IsRegular():
		err = fmt.Errorf("%s is there, and no file", path)
	default:
		return nil
	}
	return &sandbox.Error{Code: sandbox.Invalid, Op: "--export", Err: err}
}

// export writes what the runtime did after an event to a file, whole or not at all.
func (a *app) export(ctx context.Context, id sandbox.ID, after uint64, path string) error {
	j, err := a.journal()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := exportTrajectory(ctx, j, id, after, &b); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".sandtree-export-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b.Bytes())
	return errors.Join(err, finish(f, path, err == nil))
}
