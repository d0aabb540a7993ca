package server_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/testing/floor"
	"github.com/sandtree/sandtree/testing/need"
)

// BenchmarkCell compares a cell in the native form with one of a bare client on the same kernel, in turn.
func BenchmarkCell(b *testing.B) {
	need.Kernel(b)
	mark := fmt.Sprintf("bench%d", os.Getpid())
	box := start(b, func(c *server.Config) {
		withJupyter(c)
		c.Mark = mark
	})
	files, err := filepath.Glob(filepath.Join(os.TempDir(), "sandtree-kernels-"+mark+"-*", "*.json"))
	if err != nil || len(files) != 1 {
		b.Fatal(files, err)
	}
	ratio := floor.Cells(b, files[0], func(n int) {
		if s := box.native(fmt.Sprintf("cell-%d", n), cell("print(1)")); s.Content != "1" {
			b.Fatalf("%+v", s)
		}
	})
	floor.Bound(b, ratio, "cell/bare", 1.5)
}
