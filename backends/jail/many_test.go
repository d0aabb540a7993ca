package jail_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// TestMany has many sandboxes at once, 20 or as many as SANDTREE_MANY says, each of which must answer for itself, and tells
// what memory an idle one has.
func TestMany(t *testing.T) {
	many := 20
	if n, err := strconv.Atoi(os.Getenv("SANDTREE_MANY")); err == nil {
		many = n
	}
	b := backends.Open("jail", open(t, t.TempDir()), backends.Config{})
	defer b.Close()
	sandboxes := make([]*backends.Sandbox, many)
	begun := time.Now()
	each := func(f func(i int)) {
		var wg sync.WaitGroup
		slots := make(chan struct{}, 4)
		for i := range sandboxes {
			slots <- struct{}{}
			wg.Go(func() { f(i); <-slots })
		}
		wg.Wait()
	}
	name := func(i int) sandbox.ID { return sandbox.ID(fmt.Sprint("many-", i)) }
	defer each(func(i int) {
		if err := b.Remove(t.Context(), name(i), backends.AnyEpoch, 0); err != nil {
			t.Error(err)
		}
	})
	each(func(i int) {
		var err error
		if sandboxes[i], err = b.Start(t.Context(), sandbox.Spec{ID: name(i), Env: map[string]string{"NAME": string(name(i))}}); err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		return
	}
	t.Logf("%d sandboxes started in %v", many, time.Since(begun))
	t.Logf("%d kB each, its server and shell together", pss(t)/many)
	each(func(i int) {
		defer sandboxes[i].Close()
		if got := run(t, sandboxes[i], "echo $NAME; ls /proc | grep -c '^[0-9]'"); !strings.HasPrefix(got, string(name(i))+"\n") || len(got) > len(name(i))+2 {
			t.Errorf("%s says %q", name(i), got)
		}
	})
}

// pss is the memory of all jails' processes in kB, what they share divided among them; 0 if it may not be seen.
func pss(t *testing.T) (sum int) {
	t.Helper()
	own, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	namespaces, _ := filepath.Glob("/proc/[0-9]*/ns/pid")
	for _, f := range namespaces {
		dir := filepath.Dir(filepath.Dir(f))
		name, _ := os.ReadFile(dir + "/comm")
		if ns, err := os.Readlink(f); err != nil || ns == own || !bytes.HasPrefix(name, []byte("sandboxd")) && !bytes.HasPrefix(name, []byte("bash")) {
			continue
		}
		b, err := os.ReadFile(dir + "/smaps_rollup")
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
				n, _ := strconv.Atoi(f[1])
				sum += n
			}
		}
	}
	return sum
}
