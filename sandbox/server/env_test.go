package server_test

import (
	"net/http"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

func TestVariablesForShellsToCome(t *testing.T) {
	b := start(t, nil)
	put := func(body string) int {
		t.Helper()
		status, _ := b.do("PUT", wire.PathEnv, body)
		return status
	}
	for _, bad := range []string{"", "A", "1=x", "A=1\x00b d=2", "SANDBOXD_PID=1", "SANDTREE_SANDBOX=x\x00B=1", "SESSION_API_KEY=x"} {
		if status := put(bad); status != http.StatusBadRequest {
			t.Errorf("%q: status %d", bad, status)
		}
	}
	if status := put("A=it's \"$HOME\"\n\xff\x00B=2\x00"); status != http.StatusNoContent {
		t.Fatalf("status %d", status)
	}
	if status := put("B=3\x00HOME=/nowhere"); status != http.StatusNoContent {
		t.Fatalf("status %d", status)
	}
	b.native("now", run("echo $B")).wantRun(t, 0, "")
	b.native("exit", run("exit"))
	b.native("then", run(`printf %s "$A" | od -An -c | tr -d ' \n'; echo " $B $HOME"`)).wantRun(t, 0, `it's"$HOME"\n377 3 /nowhere`)
	b.native("static", sandbox.RunArgs{Command: "echo $B", IsStatic: true}).wantRun(t, 0, "3")
}
