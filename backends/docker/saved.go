package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sandtree/sandtree/internal/trees"
)

// A saved image is a tar archive of an engine's: manifest.json, which names a configuration and layers, and these. One that a
// stranger has made could have tags by which it takes the place of an image that others use, labels by which its containers
// seem to be other ones, commands, volumes and ports. So another archive is made of it, with its layers, its variables and nothing
// else. That the layers are what the configuration says, the engine looks at, after it has unpacked them: so they may not be larger
// than they look, by holes, by compression, or since they are parts of each other.
type savedImage struct {
	file  *os.File
	files map[string]*io.SectionReader
}

const (
	savedManifest = "manifest.json"
	maxConfig     = 4 << 20 // bytes, of a manifest or configuration; engines take about as much
	maxLayers     = 127     // which is what engines take
	maxSaved      = 1024    // files; some engines write three for each layer, and a few besides
)

// manifest is one image of a manifest.json.
type manifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// openSaved looks up what is in a saved image. trees.ErrArchive if it is none.
func openSaved(file string) (_ *savedImage, err error) {
	s := &savedImage{files: map[string]*io.SectionReader{}}
	if s.file, err = os.Open(file); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = notSaved("there is no %s", imageFile)
		}
		return nil, err
	}
	defer func() {
		if err != nil {
			s.file.Close()
		}
	}()
	if info, err := s.file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, notSaved("%s is no file", imageFile)
	}
	end := int64(0) // of the file before
	for r := tar.NewReader(s.file); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return s, nil
		} else if err != nil {
			return nil, notSaved("%v", err)
		}
		if trees.HasHoles(h) {
			return nil, notSaved("%.80q has holes", h.Name)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		at, err := s.file.Seek(0, io.SeekCurrent) // the reader reads no further than it must
		if err != nil {
			return nil, err
		}
		if at < end {
			return nil, notSaved("%.80q is a part of what is before it", h.Name)
		}
		end = at + h.Size
		if s.files[path.Clean(h.Name)] = io.NewSectionReader(s.file, at, h.Size); len(s.files) > maxSaved {
			return nil, notSaved("it has more than %d files", maxSaved)
		}
	}
}

func notSaved(why string, args ...any) error {
	return fmt.Errorf("%w: its image: %s", trees.ErrArchive, fmt.Sprintf(why, args...))
}

func (s *savedImage) Close() error { return s.file.Close() }

// read reads one of its records.
func (s *savedImage) read(name string, record any) error {
	f, ok := s.files[path.Clean(name)]
	if !ok || f.Size() > maxConfig {
		return notSaved("there is no %.80q, or it is too large", name)
	}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		return notSaved("%v", err)
	}
	if err := json.Unmarshal(b, record); err != nil {
		return notSaved("%.80q: %v", name, err)
	}
	return nil
}

// A cleanImage is a saved one that can do no harm.
type cleanImage struct {
	manifest manifest
	config   []byte
	layers   map[string]*io.SectionReader // by their new names
}

// restamped gives the image another name, labels, and nothing of its own but layers and variables.
func (s *savedImage) restamped(ctx context.Context, reference string, labels map[string]string) (*cleanImage, error) {
	var all []manifest
	if err := s.read(savedManifest, &all); err != nil {
		return nil, err
	}
	if len(all) != 1 {
		return nil, notSaved("there are %d", len(all))
	}
	var was ocispec.Image
	if err := s.read(all[0].Config, &was); err != nil {
		return nil, err
	}
	if n := len(was.RootFS.DiffIDs); n == 0 || n > maxLayers || n != len(all[0].Layers) {
		return nil, notSaved("it has %d layers, and %d sums of them", len(all[0].Layers), n)
	}
	now := time.Now().UTC() // by which it is known as one that is just being made
	config, err := json.Marshal(ocispec.Image{
		Created: &now, Platform: ocispec.Platform{Architecture: was.Architecture, OS: was.OS, Variant: was.Variant}, RootFS: was.RootFS,
		Config: ocispec.ImageConfig{Env: was.Config.Env, Labels: labels},
	})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(config)
	c := &cleanImage{config: config, layers: map[string]*io.SectionReader{},
		manifest: manifest{Config: hex.EncodeToString(sum[:]) + ".json", RepoTags: []string{reference}}}
	return c, s.take(ctx, c, all[0].Layers)
}

// take gives a clean image the layers of those names.
func (s *savedImage) take(ctx context.Context, c *cleanImage, layers []string) error {
	named := map[string]string{} // the same layer can be there several times
	var again int64              // bytes of those that were there already
	for i, layer := range layers {
		layer = path.Clean(layer)
		f, ok := s.files[layer]
		if !ok {
			return notSaved("there is no layer %.80q", layer)
		}
		if named[layer] != "" {
			again += f.Size()
		} else if err := plain(ctx, f); err != nil {
			return fmt.Errorf("the layer %.80q: %w", layer, err)
		} else {
			named[layer] = strconv.Itoa(i) + "/layer.tar"
			c.layers[named[layer]] = f
		}
		c.manifest.Layers = append(c.manifest.Layers, named[layer])
	}
	if info, err := s.file.Stat(); err != nil {
		return err
	} else if again > info.Size() { // the engine unpacks each as often as it is named
		return notSaved("the same layers are there too often: that would take %d bytes more than it has", again)
	}
	return nil
}

// compressed is how what engines unpack before they read a layer begins: gzip, bzip2, xz and zstd.
var compressed = []string{"\x1f\x8b", "BZh", "\xfd7zXZ\x00", "\x28\xb5\x2f\xfd"}

func isCompressed(begin string) bool {
	for _, magic := range compressed {
		if strings.HasPrefix(begin, magic) {
			return true
		}
	}
	return len(begin) >= 4 && begin[0]&0xf0 == 0x50 && begin[1:4] == "\x2a\x4d\x18" // zstd that begins with something to be skipped
}

// plain says whether a layer takes no more when it is unpacked than it does here. Only headers are read.
func plain(ctx context.Context, f *io.SectionReader) error {
	f = io.NewSectionReader(f, 0, f.Size())
	begin := make([]byte, 8)
	n, err := f.ReadAt(begin, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if isCompressed(string(begin[:n])) {
		return notSaved("it is compressed, so that its size is not known: save it from an engine that keeps layers as they are")
	}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return notSaved("%v", err)
		case trees.HasHoles(h):
			return notSaved("%.80q has holes", h.Name)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
	}
}

// write writes it as engines read it.
func (c *cleanImage) write(w io.Writer) error {
	t := tar.NewWriter(w)
	put := func(name string, size int64, r io.Reader) error {
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size}); err != nil {
			return err
		}
		_, err := io.Copy(t, r)
		return err
	}
	text, err := json.Marshal([]manifest{c.manifest})
	if err == nil {
		err = put(savedManifest, int64(len(text)), bytes.NewReader(text))
	}
	if err == nil {
		err = put(c.manifest.Config, int64(len(c.config)), bytes.NewReader(c.config))
	}
	for name, f := range c.layers {
		if err == nil {
			err = put(name, f.Size(), io.NewSectionReader(f, 0, f.Size()))
		}
	}
	if err == nil {
		err = t.Close()
	}
	return err
}
