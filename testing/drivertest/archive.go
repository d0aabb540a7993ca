package drivertest

import (
	"bytes"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// testArchive takes a snapshot out and in again, whole and broken.
func testArchive(t *testing.T, w *world) {
	b := w.open()
	s := w.start(b, sandbox.Spec{ID: "moved", Epoch: 1})
	w.run(s, `mkdir sub; echo first >sub/file; ln -s sub/file link; chmod 700 sub; echo mine >"$HOME/mine"`)
	w.snapshot(b, s, "one")
	w.run(s, `echo second >>sub/file; rm link; mv sub moved`)
	w.snapshot(b, s, "two")
	var archive bytes.Buffer
	err := b.Export(w.context(), "two", &archive, backends.ArchiveBounds{})
	if sandbox.CodeOf(err) == sandbox.Unsupported {
		t.Skipf("Export: %v", err)
	}
	if err != nil {
		t.Fatalf("Export: %v", err)
	}
	err = b.Export(w.context(), "none", &bytes.Buffer{}, backends.ArchiveBounds{})
	w.wantCode("Export of no snapshot", err, sandbox.NotFound)
	err = b.Export(w.context(), "two", &bytes.Buffer{}, backends.ArchiveBounds{Files: 2})
	w.wantCode("Export of more than may be", err, sandbox.Exhausted)
	for name, wrong := range map[string][]byte{"nothing": {}, "garbage": bytes.Repeat([]byte("x"), 5000), "a part": archive.Bytes()[:archive.Len()/2]} {
		_, err := b.Import(w.context(), "wrong", bytes.NewReader(wrong), backends.ArchiveBounds{})
		w.wantCode("Import of "+name, err, sandbox.Invalid)
	}
	_, err = b.Import(w.context(), "wrong", bytes.NewReader(archive.Bytes()), backends.ArchiveBounds{Bytes: 10})
	w.wantCode("Import of more than may be", err, sandbox.Exhausted)
	_, err = b.Import(w.context(), "", bytes.NewReader(archive.Bytes()), backends.ArchiveBounds{})
	w.wantCode("Import under a name that is taken", err, sandbox.Conflict)
	w.testForged(b, archive.Bytes())

	made, err := b.Import(w.context(), "three", bytes.NewReader(archive.Bytes()), backends.ArchiveBounds{})
	if err != nil {
		t.Fatalf("Import: %v", err)
	}
	t.Cleanup(func() {
		if err := b.RemoveSnapshot(w.context2(), "three"); err != nil {
			t.Errorf("RemoveSnapshot: %v", err)
		}
	})
	if made.Name != "three" || made.Of != "moved" || made.Way != backends.WayImport || made.Size < 18 {
		t.Errorf("imported as %+v", made)
	}
	if n := len(w.snapshots(b)); n != 3 {
		t.Errorf("%d snapshots", n)
	}
	fork := w.start(b, sandbox.Spec{ID: "arrived", From: "three"})
	if got := w.run(fork, `cat moved/file "$HOME/mine"; ls -1; stat -c %a moved; echo more >>moved/file; touch "$HOME/new" && echo mine too`); got != "first\nsecond\nmine\nmoved\n700\nmine too" {
		t.Errorf("the fork has %q", got)
	}
}
