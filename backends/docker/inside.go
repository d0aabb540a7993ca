package docker

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
)

// furnishInside puts into a container what cannot be mounted into it, since the engine's machine is not this one: sandboxd, and
// the directories that programs write to.
func (d *Driver) furnishInside(ctx context.Context, id string, l label, program string) error {
	f, err := os.Open(program)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := d.archive(w, l, f, info.Size())
		w.CloseWithError(err)
		sent <- err
	}()
	err = d.engine.CopyToContainer(ctx, id, "/", r, container.CopyToContainerOptions{})
	r.Close()
	if archived := <-sent; err == nil && !errors.Is(archived, io.ErrClosedPipe) {
		err = archived
	}
	return err
}

func (d *Driver) archive(w io.Writer, l label, program io.Reader, size int64) error {
	t := tar.NewWriter(w)
	now := time.Now()
	theirs := []string{insideBox}
	if d.config.Home == "" {
		theirs = append(theirs, sandboxHome)
	}
	if l.Workspace == "" {
		theirs = append(theirs, d.config.Workdir)
	}
	err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: inside[1:] + "/", Mode: 0o755, ModTime: now})
	for _, dir := range theirs {
		err = errors.Join(err, t.WriteHeader(&tar.Header{
			Typeflag: tar.TypeDir, Name: strings.TrimPrefix(path.Clean(dir), "/") + "/", Mode: 0o700, Uid: l.UID, Gid: l.GID, ModTime: now,
		}))
	}
	err = errors.Join(err, t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: insideProgram[1:], Mode: 0o755, Size: size, ModTime: now}))
	if err != nil {
		return err
	}
	if _, err := io.Copy(t, program); err != nil {
		return err
	}
	return t.Close()
}
