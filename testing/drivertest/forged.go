package drivertest

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// An entry is one of an archive.
type entry struct {
	head tar.Header
	text []byte
}

func entriesOf(t *testing.T, archive []byte) (all []entry) {
	t.Helper()
	z, err := zstd.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	r := tar.NewReader(z)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		var text []byte
		if err == nil {
			text, err = io.ReadAll(r)
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, entry{*h, text})
	}
}

func archiveOf(t *testing.T, all []entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for _, e := range all {
		e.head.Size = int64(len(e.text))
		err := w.WriteHeader(&e.head)
		if err == nil {
			_, err = w.Write(e.text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// forgeries change an archive that is good into one that is refused at once, and not when something is to begin with it.
var forgeries = map[string]func(all []entry) []entry{
	"without a file": func(all []entry) []entry {
		return slices.DeleteFunc(all, func(e entry) bool { return strings.HasSuffix(e.head.Name, "/file") })
	},
	"without a part": func(all []entry) []entry {
		return slices.DeleteFunc(all, func(e entry) bool { return strings.HasPrefix(e.head.Name, "workspace") })
	},
	"with a part twice": func(all []entry) []entry { return slices.Insert(all, len(all)-1, all[1]) },
	"with a part named twice": func(all []entry) []entry {
		all[0].text = bytes.Replace(all[0].text, []byte(`"holds":[`), []byte(`"holds":["workspace",`), 1)
		return all
	},
	"of another content": func(all []entry) []entry {
		for i, e := range all {
			if strings.HasSuffix(e.head.Name, "/file") {
				all[i].text = bytes.ToUpper(e.text)
			}
		}
		return all
	},
	"with another mode": func(all []entry) []entry { all[len(all)-2].head.Mode ^= 1; return all },
	"without an end":    func(all []entry) []entry { return all[:len(all)-1] },
	"with two ends":     func(all []entry) []entry { return append(all, all[len(all)-1]) },
	"with more after its end": func(all []entry) []entry {
		return append(all, entry{head: tar.Header{Typeflag: tar.TypeReg, Name: "workspace/more", Mode: 0o644}})
	},
	"of another version": func(all []entry) []entry {
		all[0].text = bytes.Replace(all[0].text, []byte(`"version":`), []byte(`"version":9`), 1)
		return all
	},
}

// testForged imports archives that have lost or gained something. None becomes a snapshot.
func (w *world) testForged(b *backends.Backend, archive []byte) {
	t := w.t
	before := len(w.snapshots(b))
	if made, err := b.Import(w.context(), "wrong", bytes.NewReader(archiveOf(t, entriesOf(t, archive))), backends.ArchiveBounds{}); err != nil {
		t.Fatalf("Import of what was packed again: %v", err)
	} else if err := b.RemoveSnapshot(w.context(), made.Name); err != nil {
		t.Fatal(err)
	}
	for name, forge := range forgeries {
		_, err := b.Import(w.context(), "wrong", bytes.NewReader(archiveOf(t, forge(entriesOf(t, archive)))), backends.ArchiveBounds{})
		w.wantCode("Import "+name, err, sandbox.Invalid)
	}
	all := entriesOf(t, archive)
	all[0].text = bytes.Replace(all[0].text, []byte(`"kind":"`), []byte(`"kind":"x`), 1)
	_, err := b.Import(w.context(), "wrong", bytes.NewReader(archiveOf(t, all)), backends.ArchiveBounds{})
	w.wantCode("Import of another kind", err, sandbox.Unsupported)
	if after := len(w.snapshots(b)); after != before {
		t.Errorf("there are %d snapshots, and were %d", after, before)
	}
}
