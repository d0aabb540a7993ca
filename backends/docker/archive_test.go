package docker

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/local"
	"github.com/sandtree/sandtree/internal/trees"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/dockerd"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// TestMovedImage takes a snapshot out, and in again when nothing of it is left, with the container's own files and their owners. A
// backend of another kind takes none of it.
func TestMovedImage(t *testing.T) {
	dockerd.Host(t)
	leak.Check(t)
	c := testConfig(t)
	c.User = "0"
	_, b := opened(t, c)
	s, _ := started(t, b, sandbox.Spec{ID: "first"})
	run(t, s, "mkdir /installed; echo one >/installed/file; chmod 640 /installed/file; echo w >work; echo h >$HOME/mine")
	if _, err := s.Snapshot(t.Context(), "image"); err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := b.Export(t.Context(), "image", &archive, backends.ArchiveBounds{}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.RemoveSnapshot(t.Context(), "image"), b.Remove(t.Context(), "first", backends.AnyEpoch, 0)); err != nil {
		t.Fatal(err)
	}
	made, err := b.Import(t.Context(), "moved", bytes.NewReader(archive.Bytes()), backends.ArchiveBounds{})
	if err != nil || made.Size < 4 {
		t.Fatalf("imported as %+v, %v", made, err)
	}
	fork, _ := started(t, b, sandbox.Spec{ID: "second", From: "moved"})
	prints(t, fork, "cat /installed/file work $HOME/mine; stat -c %a /installed/file; echo more >>work", "one\nw\nh\n640")
	if err := errors.Join(b.RemoveSnapshot(t.Context(), "moved"), b.Remove(t.Context(), "second", backends.AnyEpoch, 0)); err != nil {
		t.Fatal(err)
	}

	if _, err := b.Import(t.Context(), "moved", bytes.NewReader(rootedArchive(t)), backends.ArchiveBounds{}); sandbox.CodeOf(err) != sandbox.Unsupported ||
		!strings.Contains(err.Error(), `kind "rooted"`) {
		t.Errorf("an engine takes the root of a jail: %v", err)
	}
	other, err := local.New(local.Config{StateDir: t.TempDir(), Sandboxd: sandboxdtest.Binary(t)})
	if err != nil {
		t.Fatal(err)
	}
	files := backends.Open("local", other, backends.Config{})
	defer files.Close()
	if _, err := files.Import(t.Context(), "moved", bytes.NewReader(archive.Bytes()), backends.ArchiveBounds{}); sandbox.CodeOf(err) != sandbox.Unsupported ||
		!strings.Contains(err.Error(), `kind "image"`) {
		t.Errorf("a backend of directories takes an image: %v", err)
	}
}

// rootedArchive is how an archive begins that has what was written over the root of a jail.
func rootedArchive(t *testing.T) []byte {
	t.Helper()
	const text = `{"version":3,"kind":"rooted","snapshot":{"name":"moved","of":"origin","holds":["home","workspace","root"]},"root":{"of":"/","layers":1}}`
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	err = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "snapshot.json", Mode: 0o644, Size: int64(len(text))})
	_, also := w.Write([]byte(text))
	if err := errors.Join(err, also, w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// emptyLayer is a layer with nothing in it.
var emptyLayer = strings.Repeat("\x00", 1024)

// TestRestamped looks what is left of a saved image that would have a name of somebody else's, and do more than be there.
func TestRestamped(t *testing.T) {
	save := func(entries map[string]any) string {
		t.Helper()
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for name, content := range entries {
			text, ok := content.(string)
			if !ok {
				j, err := json.Marshal(content)
				if err != nil {
					t.Fatal(err)
				}
				text = string(j)
			}
			err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(text))})
			if err == nil {
				_, err = w.Write([]byte(text))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), imageFile)
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	const sum = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	hostile := ocispec.Image{Config: ocispec.ImageConfig{User: "0", Env: []string{"PATH=/bin"}, Entrypoint: []string{"/evil"}, Volumes: map[string]struct{}{"/v": {}},
		Labels: map[string]string{labelPrefix + "blank": "x", "other": "y"}, ExposedPorts: map[string]struct{}{"80/tcp": {}}}}
	hostile.RootFS.Type = "layers"
	hostile.RootFS.DiffIDs = append(hostile.RootFS.DiffIDs, sum, sum)
	list := func(m ...manifest) []manifest { return m }
	s, err := openSaved(save(map[string]any{"manifest.json": list(manifest{"c.json", []string{"busybox:latest"}, []string{"l", "l"}}), "c.json": hostile,
		"l": emptyLayer, "repositories": `{"busybox":{"latest":"l"}}`, "index.json": "{}"}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	clean, err := s.restamped(t.Context(), "ours:1", map[string]string{"ours": "yes"})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := clean.write(&b); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"busybox", "evil", "blank", "other", "80/tcp", "repositories", "index.json", "/v"} {
		if strings.Contains(b.String(), word) {
			t.Errorf("it still has %q", word)
		}
	}
	for _, word := range []string{"ours:1", "PATH=/bin", sum, `"ours":"yes"`, `["0/layer.tar","0/layer.tar"]`} {
		if !strings.Contains(b.String(), word) {
			t.Errorf("it has no %q", word)
		}
	}

	one := manifest{"c.json", nil, []string{"l", "l"}}
	for name, entries := range map[string]map[string]any{
		"none":           {"c.json": hostile, "l": emptyLayer},
		"two":            {"manifest.json": list(one, one), "c.json": hostile, "l": emptyLayer},
		"no layer":       {"manifest.json": list(one), "c.json": hostile},
		"too few layers": {"manifest.json": list(manifest{"c.json", nil, []string{"l"}}), "c.json": hostile, "l": emptyLayer},
		"no sums":        {"manifest.json": list(one), "c.json": ocispec.Image{}, "l": emptyLayer},
		"elsewhere":      {"manifest.json": list(manifest{"../../etc/passwd", nil, []string{"l", "l"}}), "l": emptyLayer},
		"text":           {"manifest.json": "none"},
	} {
		s, err := openSaved(save(entries))
		if err == nil {
			_, err = s.restamped(t.Context(), "ours:1", nil)
			s.Close()
		}
		if !errors.Is(err, trees.ErrArchive) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
