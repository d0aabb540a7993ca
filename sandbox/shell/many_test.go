package shell

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
)

// Sessions side by side do not disturb each other, and leave neither goroutines nor descriptors.
func TestManySessions(t *testing.T) {
	need.Tool(t, "bash")
	leak.Check(t)
	before := descriptorsOpen(t)
	env := environ(t.TempDir())
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			s, err := Start(Config{Dir: "/", Env: env})
			if err != nil {
				t.Error(err)
				return
			}
			for j := range 20 {
				o, err := s.Run(t.Context(), sandbox.RunArgs{Command: fmt.Sprintf("x=$((x+%d)); echo %d:$x", i, j)}, time.Minute, nil)
				if want := fmt.Sprintf("%d:%d", j, i*(j+1)); err != nil || o.Content != want {
					t.Errorf("%q, %v, want %q", o.Content, err, want)
				}
			}
			if i%2 == 0 {
				if _, err := s.Run(t.Context(), sandbox.RunArgs{Command: "exit 1"}, time.Minute, nil); err != nil {
					t.Error(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if after := descriptorsOpen(t); after > before {
		t.Errorf("%d descriptors are open, %d were", after, before)
	}
}

func descriptorsOpen(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// A shell of another user has a terminal that is that user's.
func TestOtherUser(t *testing.T) {
	need.Root(t)
	const uid = 48124
	home := t.TempDir()
	for d := home; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, Config{Dir: "/", Env: environ(home), User: &syscall.Credential{Uid: uid, Gid: uid, NoSetGroups: true}})
	o := run(t, s, `id -u; echo seen >"$(tty)"; stat -c %u "$(tty)"`, 0)
	if o.content != "48124\nseen\n48124" {
		t.Errorf("%q", o.content)
	}
	if *o.Metadata.Username != "I have no name!" {
		t.Errorf("user %q", *o.Metadata.Username)
	}
	do(t, s, sandbox.RunArgs{Command: "sleep 1000"}, 100*time.Millisecond)
	if o := input(t, s, "C-c"); o.exit != 130 {
		t.Errorf("%+v", o)
	}
}
