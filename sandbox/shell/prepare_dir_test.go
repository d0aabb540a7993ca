package shell

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
)

// TestPreparedDenied has sessions in directories that their user may not enter: a shell that was started before does not work
// elsewhere instead.
func TestPreparedDenied(t *testing.T) {
	need.Tool(t, "bash")
	leak.Check(t)
	dir := filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for d := filepath.Dir(dir); d != "/tmp" && d != "/" && os.Geteuid() == 0; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c := Config{Dir: dir, Env: environ("/")}
	if os.Geteuid() == 0 { // who may enter any
		c.User = &syscall.Credential{Uid: 48125, Gid: 48125, NoSetGroups: true}
		if err := os.Chown(dir, 48125, 48125); err != nil {
			t.Fatal(err)
		}
	}
	for name, at := range map[string]string{"at": dir, "elsewhere": ""} {
		t.Run(name, func(t *testing.T) {
			if at != "" && c.User != nil {
				t.Skip("a shell that is there already needs no right to go there, and whether its user has it is not asked")
			}
			other := c
			other.Dir = at
			c := c
			c.Prepared = prepare(t, other)
			if err := os.Chmod(dir, 0o600); err != nil {
				t.Fatal(err)
			}
			defer os.Chmod(dir, 0o700)
			s, err := Start(c)
			if sandbox.CodeOf(err) != sandbox.Denied {
				t.Errorf("it begins with %v", err)
			}
			if err == nil {
				t.Errorf("it works in %q", run(t, s, "pwd", 0).content)
				s.Close()
			}
		})
	}
}
