package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/docker/docker/client"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/internal/shelf"
	"github.com/sandtree/sandtree/internal/trees"
	"github.com/sandtree/sandtree/sandbox"
)

var _ backends.SnapshotMover = (*Driver)(nil)

// imageFile is what the part root of an archive holds: an image, as engines save it.
const imageFile = "image.tar"

// ArchiveKind is always the same: directories and an image.
func (d *Driver) ArchiveKind([]string) string { return backends.KindImage }

// ExportSnapshot gives the directories of a snapshot, and one with its image, which is saved there for as long as that takes.
func (d *Driver) ExportSnapshot(ctx context.Context, name string, pack func(a backends.Archived, part string, dir *os.File, layer *trees.Layered) error) error {
	var k kept
	err := d.snapshots().Read(name, &k)
	if err == nil {
		err = d.snapshots().Borrow(func(dir string) error {
			if err := d.saveImage(ctx, k.Image, filepath.Join(dir, imageFile)); err != nil {
				return err
			}
			for _, part := range k.Holds {
				from := filepath.Join(d.snapshots().Path(name), part)
				if part == partRoot {
					from = dir
				}
				f, err := os.Open(from)
				if err == nil {
					err = pack(backends.Archived{Snapshot: k.Snapshot}, part, f, nil)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	if _, gone := os.Lstat(d.snapshots().Path(name)); errors.Is(gone, os.ErrNotExist) { // before, or meanwhile
		return failed("docker.Export", "", coded{sandbox.NotFound, backends.NoSnapshot(name)})
	}
	return err
}

// saveImage writes an image to a file, with all its layers.
func (d *Driver) saveImage(ctx context.Context, id, file string) error {
	r, err := d.engine.ImageSave(ctx, []string{id})
	if err != nil {
		return failed("docker.Export", "", err)
	}
	defer r.Close()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Close()); err != nil {
		return failed("docker.Export", "", fmt.Errorf("save the image: %w", err))
	}
	return nil
}

// ImportSnapshot makes a snapshot of what unpack unpacks, which is the user's as whom programs run. Of its image the layers are
// taken and the variables; nothing of it is run, and no image that the engine has is changed or gets another name.
func (d *Driver) ImportSnapshot(ctx context.Context, a backends.Archived, unpack func(into string, uid, gid int, layer *trees.Layered) error) error {
	s := a.Snapshot
	if err := d.canSnapshot(label{InMemory: d.config.Storage == storageMemory}); err != nil {
		return failed("docker.Import", "", err)
	}
	if !slices.Contains(s.Holds, partRoot) {
		return fmt.Errorf("%w: there is no image", trees.ErrArchive)
	}
	uid, gid := -1, -1
	if os.Geteuid() == 0 {
		var err error
		if uid, gid, err = d.user(label{}); err != nil {
			return failed("docker.Import", "", err)
		}
	}
	image := ""
	err := d.snapshots().Put(s.Name, func(dir string) (any, error) {
		if err := unpack(dir, uid, gid, nil); err != nil {
			return nil, err
		}
		s.Size, s.Files = 0, 0
		for _, part := range s.Holds {
			if part == partRoot {
				continue
			}
			stats, err := trees.Measure(filepath.Join(dir, part))
			if err != nil {
				return nil, err
			}
			s.Size, s.Files = s.Size+stats.Bytes, s.Files+stats.Files
		}
		var err error
		if image, err = d.loadImage(ctx, filepath.Join(dir, partRoot, imageFile), s.Name); err != nil {
			return nil, err
		}
		return kept{s, image}, held.RemoveTree(filepath.Join(dir, partRoot))
	})
	if err != nil && image != "" {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		err = errors.Join(err, d.removeImages(cleanup, image))
	}
	if errors.Is(err, shelf.ErrTaken) {
		return failed("docker.Import", "", coded{sandbox.Conflict, fmt.Errorf("there is a snapshot %q already: give another name, or remove it first", s.Name)})
	}
	return err
}

// loadImage gives the engine the image in a file that is a stranger's, as one of this driver's, and gives its id.
func (d *Driver) loadImage(ctx context.Context, file, name string) (string, error) {
	saved, err := openSaved(file)
	if err != nil {
		return "", err
	}
	defer saved.Close()
	reference := snapshotReference(name)
	clean, err := saved.restamped(ctx, reference, d.snapshotLabels(name))
	if err != nil {
		return "", err
	}
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := clean.write(w)
		written <- err
		w.CloseWithError(err)
	}()
	response, err := d.engine.ImageLoad(ctx, r, client.ImageLoadWithQuiet(true))
	if err == nil {
		err = d.follow(response.Body, backends.Progress{Image: reference, Step: backends.StepBuild}, nil, nil)
		response.Body.Close()
	}
	r.CloseWithError(errors.New("the engine reads no more of it"))
	if wrong := <-written; errors.Is(wrong, trees.ErrArchive) {
		return "", wrong
	}
	if err != nil {
		return "", d.notLoaded(err)
	}
	made, err := d.engine.ImageInspect(ctx, reference)
	if err != nil {
		return "", failed("docker.Import", "", err)
	}
	return made.ID, nil
}

// notLoaded says what it means that an engine does not take an image: if nothing else is wrong, the image is.
func (d *Driver) notLoaded(err error) error {
	switch code := codeOf(err); code {
	case sandbox.Internal, sandbox.Invalid:
		return fmt.Errorf("%w: the engine does not take its image: %w", trees.ErrArchive, err)
	default:
		return failed("docker.Import", "", err)
	}
}
