package docker

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sandtree/sandtree/internal/trees"
)

// A tarring is a tar archive that is being made, of blocks that no writer would write.
type tarring struct{ bytes.Buffer }

// file adds a file; records are those of a PAX header before it.
func (a *tarring) file(t *testing.T, name, content string, records map[string]string) {
	t.Helper()
	if len(records) > 0 {
		var pax strings.Builder
		for _, key := range []string{"GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.size", "GNU.sparse.numblocks", "GNU.sparse.map"} {
			if value, ok := records[key]; ok {
				line := fmt.Sprintf(" %s=%s\n", key, value)
				n := len(line) + 2
				if len(fmt.Sprint(n)) != 2 {
					t.Fatalf("a record of %d bytes", n)
				}
				fmt.Fprintf(&pax, "%d%s", n, line)
			}
		}
		a.entry(t, tar.TypeXHeader, "pax", pax.String())
	}
	a.entry(t, tar.TypeReg, name, content)
}

func (a *tarring) entry(t *testing.T, kind byte, name, content string) {
	t.Helper()
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000644\x000000000\x000000000\x00")
	copy(b[124:], fmt.Sprintf("%011o\x00", len(content)))
	copy(b[136:], "00000000000\x00        ")
	b[156] = kind
	copy(b[257:], "ustar\x0000")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	a.Write(b)
	a.WriteString(content)
	if rest := len(content) % 512; rest > 0 {
		a.Write(make([]byte, 512-rest))
	}
}

// TestSavedGrows imports images that take more when they are unpacked than in their archive: none of their layers is handed on.
func TestSavedGrows(t *testing.T) {
	holes := map[string]string{"GNU.sparse.size": "4096", "GNU.sparse.numblocks": "1", "GNU.sparse.map": "4096,0"}
	layer := func(records map[string]string) string {
		var a tarring
		a.file(t, "file", "", records)
		a.Write(make([]byte, 1024))
		return a.String()
	}
	large := strings.Repeat("x", 100<<10)
	var full tarring
	full.file(t, "file", large, nil)
	full.Write(make([]byte, 1024))
	for name, c := range map[string]struct {
		layer string
		holes map[string]string // of the layer's place in the image
		times int
		says  string // "" is nothing
	}{
		"plain":                {layer(nil), nil, 2, ""},
		"twice":                {full.String(), nil, 2, ""},
		"parts of each other":  {"", holes, 3, "holes"},
		"holes in a layer":     {layer(holes), nil, 1, "holes"},
		"gzip":                 {"\x1f\x8b\x08\x00", nil, 1, "compressed"},
		"zstd":                 {"\x28\xb5\x2f\xfd\x00", nil, 1, "compressed"},
		"zstd after something": {"\x51\x2a\x4d\x18\x00", nil, 1, "compressed"},
		"bzip2, a tar as well": {strings.Replace(layer(nil), "file", "BZh9", 1), nil, 1, "compressed"},
		"often":                {full.String(), nil, 100, "too often"},
		"no archive":           {strings.Repeat("x", 1024), nil, 1, "header"},
		"too many":             {layer(nil), nil, 128, "sums"},
	} {
		t.Run(name, func(t *testing.T) {
			var image ocispec.Image
			m := manifest{Config: "c.json"}
			for range c.times {
				image.RootFS.DiffIDs = append(image.RootFS.DiffIDs, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
				m.Layers = append(m.Layers, "l")
			}
			var a tarring
			for name, record := range map[string]any{"c.json": image, savedManifest: []manifest{m}} {
				text, err := json.Marshal(record)
				if err != nil {
					t.Fatal(err)
				}
				a.file(t, name, string(text), nil)
			}
			a.file(t, "l", c.layer, c.holes)
			for n := range 3 {
				a.file(t, fmt.Sprint(n), "", c.holes)
			}
			a.Write(make([]byte, 1024))
			file := filepath.Join(t.TempDir(), imageFile)
			if err := os.WriteFile(file, a.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := openSaved(file)
			if err == nil {
				defer s.Close()
				_, err = s.restamped(t.Context(), "ours:1", nil)
			}
			if c.says == "" && err == nil {
				return
			}
			if !errors.Is(err, trees.ErrArchive) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
		})
	}
}
