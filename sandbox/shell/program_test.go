package shell

import (
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
)

// A server in the foreground times out, goes on, and ends by ^C as its author meant it to.
func TestServerInForeground(t *testing.T) {
	need.Tool(t, "python3")
	s := start(t, Config{})
	for range 2 {
		o := do(t, s, sandbox.RunArgs{Command: "python3 -u -m http.server 0 --bind 127.0.0.1"}, time.Second)
		for range 10 {
			if strings.Contains(o.content, "Serving HTTP on") {
				break
			}
			o = do(t, s, sandbox.RunArgs{}, time.Second)
		}
		if !strings.Contains(o.content, "Serving HTTP on") || o.exit != -1 {
			t.Fatalf("%+v", o)
		}
		wantSuffix(t, o, "\n[The command timed out after 1.0 seconds.")
		o = do(t, s, sandbox.RunArgs{Command: "C-c", IsInput: true, Blocking: true}, time.Minute)
		if !strings.Contains(o.content, "Keyboard interrupt received, exiting.") || o.exit != 0 || !strings.HasPrefix(*o.Metadata.WorkingDir, s.config.Dir) {
			t.Fatalf("%+v", o)
		}
		if o := run(t, s, "ls", 0); strings.Contains(o.content, "Keyboard") {
			t.Errorf("%+v", o)
		}
	}
}

// The same in the background, with a client in the foreground.
func TestServerInBackground(t *testing.T) {
	need.Tool(t, "python3")
	s := start(t, Config{})
	o := run(t, s, `python3 -c '
import http.server
s = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
open("port", "w").write(str(s.server_port))
s.serve_forever()' &`, 0)
	if !strings.HasPrefix(o.content, "[1] ") || o.pid <= 0 {
		t.Errorf("%+v", o)
	}
	o = run(t, s, `until [ -s port ]; do sleep 0.01; done; exec 3<>/dev/tcp/127.0.0.1/$(cat port); printf 'GET / HTTP/1.0\r\n\r\n' >&3; cat <&3; exec 3>&-`, 0)
	if !strings.Contains(o.content, "Directory listing for") {
		t.Errorf("%+v", o)
	}
	run(t, s, "kill %1; wait", 0)
	run(t, s, "true", 0)
}

// Rounds of everything that can go wrong in a terminal: a quiet command, a prompt, long lines under a hard limit, a
// refusal, ^C.
func TestRounds(t *testing.T) {
	s := start(t, Config{NoChange: 600 * time.Millisecond})
	for i := range 3 {
		run(t, s, `ps aux | awk '{printf "%8.1f MB  %s\n", $6/1024, $11}' | sort -nr | head -3`, 0)
		o := do(t, s, sandbox.RunArgs{Command: `read -p "Do you want to continue? [Y/n] " answer; if [[ $answer == "Y" ]]; then echo "Proceeding with operation..."; echo "Operation completed successfully!"; else exit 1; fi`}, 0)
		want(t, o, "Do you want to continue? [Y/n]", "", -1)
		o = input(t, s, "Y")
		want(t, o, "Proceeding with operation...\nOperation completed successfully!", "", 0)
		o = do(t, s, sandbox.RunArgs{Command: `i=0; while true; do i=$((i+1)); echo "Line $i - $(printf "%1000s" x | tr ' ' .)"; done`}, time.Second)
		if o.exit != -1 || !strings.HasPrefix(o.content, "Line 1 - ") {
			t.Fatalf("%d: exit %d, %.50q", i, o.exit, o.content)
		}
		o = do(t, s, sandbox.RunArgs{Command: "ls"}, 0)
		wantSuffix(t, o, "\n[Your command \"ls\" is NOT executed. The previous command is still running")
		o = do(t, s, sandbox.RunArgs{Command: "C-c", IsInput: true, Blocking: true}, 5*time.Second)
		if o.exit != 130 {
			t.Fatalf("%d: exit %d", i, o.exit)
		}
		run(t, s, "ls", 0)
	}
}

func TestGitHasNoPager(t *testing.T) {
	need.Tool(t, "git")
	s := start(t, Config{})
	run(t, s, "git init -q . && git config user.name a && git config user.email a@b && seq 3000 >f && git add f && git commit -qm x", 0)
	o := run(t, s, "git log -p", 0)
	if !strings.HasSuffix(o.content, "+3000") {
		t.Errorf("%q", o.content[max(0, len(o.content)-50):])
	}
	run(t, s, `sh -c 'git log -p' | tail -1; sh -c 'git log -p'`, 0)
	if o := run(t, s, "git remote add origin https://example.com/x && git remote -v", 0); strings.Contains(o.content, "git remote") {
		t.Errorf("%+v", o)
	}
}

// What clients send to make variables last: nested quotes that get lost, and a semicolon at the end.
func TestVariablesLast(t *testing.T) {
	home := t.TempDir()
	s := start(t, Config{Env: environ(home)})
	run(t, s, `export TOKEN="abc\"def"; export OTHER="a b";`, 0)
	run(t, s, `touch ~/.bashrc; grep -q "^export TOKEN=" ~/.bashrc || echo "export TOKEN="abc\"def"" >> ~/.bashrc; grep -q "^export OTHER=" ~/.bashrc || echo "export OTHER="ab"" >> ~/.bashrc;`, 0)
	want(t, run(t, s, `echo "$TOKEN|$OTHER"`, 0), `abc"def|a b`, "", 0)
	want(t, run(t, start(t, Config{Env: environ(home)}), "echo up", 0), "up", "", 0)
}
