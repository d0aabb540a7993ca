package gvisor_test

import (
	"testing"

	"github.com/sandtree/sandtree/backends/gvisor"
)

// TestNames works on files by their names and their directories' descriptors, for which the process that opens files has no openat2.
func TestNames(t *testing.T) {
	s := in(t, gvisor.Config{})
	got := run(t, s, `python3 - <<'END'
import os, socket
open("file", "w").close()
os.symlink("file", "link")
os.utime("link", (1, 1), follow_symlinks=False)
os.link("file", "second")
os.rename("second", "third")
os.chmod("third", 0o640)
s = socket.socket(socket.AF_UNIX)
s.bind("sock")
for what in (lambda: os.chmod("sock", 0o600), lambda: os.utime("sock", (1, 1)), lambda: os.chown("sock", os.getuid(), os.getgid())):
    try:
        what()
    except OSError as e:
        print(e)
print(int(os.lstat("link").st_mtime), os.stat("file").st_nlink, oct(os.stat("third").st_mode), oct(os.stat("sock").st_mode))
END`)
	if got != "1 2 0o100640 0o140600" {
		t.Errorf("it said %q", got)
	}
}
