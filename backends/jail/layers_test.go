package jail

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/sandtree/sandtree/testing/need"
)

// TestSweepLetsOthersGoOn stops a sweep between the taking away of a layer's name and the removal of its files: whoever needs the
// lock of the layers meanwhile has it, and another sweep does not mind.
func TestSweepLetsOthersGoOn(t *testing.T) {
	need.Root(t)
	d, err := New(Config{StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	locked := func(f func()) {
		t.Helper()
		unlock, err := d.lockLayers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer unlock()
		f()
	}
	var unused string
	locked(func() { unused, err = d.newLayer(0) })
	if err == nil {
		err = os.WriteFile(filepath.Join(d.layerFiles(unused), "large"), nil, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	removes, err := d.hideLayers(t.Context())
	if err != nil || len(removes) != 1 {
		t.Fatalf("%d to be removed, %v", len(removes), err)
	}
	var next string
	locked(func() { // as a snapshot begins
		if next, err = d.newLayer(0); err == nil {
			err = os.Mkdir(filepath.Join(d.layerFiles(next), partHome), 0o700)
		}
	})
	large, _ := filepath.Glob(filepath.Join(string(d.layers()), ".gone-*", "fs", "large"))
	if err != nil || len(large) != 1 {
		t.Errorf("meanwhile there is %q, %v", large, err)
	}
	if err := errors.Join(removes[0](), d.sweepLayers(t.Context())); err != nil {
		t.Error(err)
	}
	if left, err := d.layers().Names(); err != nil || len(left) != 0 {
		t.Errorf("left are %q, %v", left, err)
	}
}
