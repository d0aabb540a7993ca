package sandboxdtest_test

import (
	"os"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

func TestStartStopAndStartAgain(t *testing.T) {
	need.Tool(t, "bash")
	leak.Check(t)
	b := sandboxdtest.Start(t)
	for range 2 {
		answer, err := b.Run(t.Context(), "echo $((6*7))")
		if err != nil || !strings.Contains(answer, `"content":"42"`) {
			t.Fatalf("%s, %v", answer, err)
		}
		if status := b.Stop(); status != 0 {
			t.Errorf("status %d, want 0\n%s", status, b.Log())
		}
		if _, err := os.Stat(b.Socket); err == nil {
			t.Error("the socket is still there")
		}
		b.Start()
	}
	b.Kill()
	if b.Wait() != -1 {
		t.Error("a killed sandboxd has no status")
	}
}

// The program must fit into any image beside what is there.
func TestTheBinaryIsSmallAndStatic(t *testing.T) {
	info, err := os.Stat(sandboxdtest.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() >= 15<<20 {
		t.Errorf("sandboxd has %d bytes, want less than 15 MB", info.Size())
	}
	b, err := os.ReadFile(sandboxdtest.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "/lib64/ld-linux") {
		t.Error("sandboxd is linked dynamically")
	}
	t.Logf("%.1f MB", float64(info.Size())/(1<<20))
}
