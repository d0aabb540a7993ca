package docker

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/registry"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

var _ backends.Builder = (*Driver)(nil)

// Build builds an image out of a Dockerfile with the engine's own builder, whose cache makes a second build quick. What is sent
// to it is all of the directory but what .dockerignore names.
func (d *Driver) Build(ctx context.Context, b backends.Build) (string, error) {
	name, err := d.build(ctx, b)
	if err != nil {
		if ctx.Err() != nil {
			err = coded{sandbox.Canceled, err}
		}
		return "", failed("docker.Build", "", err)
	}
	return name, nil
}

func (d *Driver) build(ctx context.Context, b backends.Build) (string, error) {
	if b.Dockerfile == "" {
		b.Dockerfile = "Dockerfile"
	}
	if !filepath.IsLocal(b.Dockerfile) {
		return "", coded{sandbox.Invalid, fmt.Errorf("the Dockerfile %q is not below the directory", b.Dockerfile)}
	}
	root, err := os.OpenRoot(b.Dir)
	if err == nil {
		defer root.Close()
		_, err = root.Stat(b.Dockerfile)
	}
	if err != nil {
		return "", coded{sandbox.Invalid, err}
	}
	args := map[string]*string{}
	for k, v := range b.Args {
		args[k] = &v
	}
	r, w := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := archiveDir(w, root, b.Dockerfile)
		w.CloseWithError(err)
		sent <- err
	}()
	defer func() { r.Close(); <-sent }()
	response, err := d.engine.ImageBuild(ctx, r, build.ImageBuildOptions{
		Dockerfile: filepath.ToSlash(b.Dockerfile), Tags: b.Tags, BuildArgs: args, Target: b.Target, NoCache: b.NoCache, PullParent: b.Pull,
		Remove: true, ForceRemove: true, Platform: d.config.Platform, AuthConfigs: d.auths.all(), Labels: map[string]string{labelPrefix + "system": d.system},
	})
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	p := backends.Progress{Step: backends.StepBuild}
	if len(b.Tags) > 0 {
		p.Image = b.Tags[0]
	}
	id := ""
	err = d.follow(response.Body, p, b.Output, func(aux json.RawMessage) {
		var built struct{ ID string }
		if json.Unmarshal(aux, &built) == nil && built.ID != "" {
			id = built.ID
		}
	})
	switch {
	case err != nil && ctx.Err() == nil && codeOf(err) == sandbox.Internal:
		return "", coded{sandbox.Invalid, fmt.Errorf("the build failed: %w", err)}
	case err != nil:
		return "", err
	case len(b.Tags) > 0:
		return b.Tags[0], nil
	}
	return id, nil
}

// all are the credentials that a build may need for the images that it begins with.
func (a auths) all() map[string]registry.AuthConfig { return a.known }

// archiveDir writes what a build is sent. A root is not led out of, whatever links are in it.
func archiveDir(w io.Writer, root *os.Root, dockerfile string) error {
	ignored, err := readIgnored(root)
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	err = fs.WalkDir(root.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		if path != filepath.ToSlash(dockerfile) && ignored.has(path) {
			if e.IsDir() && !ignored.exceptions {
				return fs.SkipDir
			}
			return nil
		}
		return archiveEntry(t, root, path, e)
	})
	return errors.Join(err, t.Close())
}

func archiveEntry(t *tar.Writer, root *os.Root, path string, e fs.DirEntry) error {
	info, err := e.Info()
	if err != nil {
		return err
	}
	link := ""
	switch mode := info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		if link, err = root.Readlink(path); err != nil {
			return err
		}
	case !mode.IsRegular() && !mode.IsDir():
		return nil // a socket or a device is nothing to build from
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	if h.Name = path; info.IsDir() {
		h.Name += "/"
	}
	h.Uid, h.Gid, h.Uname, h.Gname = 0, 0, "", ""
	if err := t.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := root.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyN(t, f, info.Size()) // it may be growing
	return err
}
