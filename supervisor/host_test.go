package supervisor

import (
	"os/exec"
	"strings"
	"testing"
)

// host runs a script on this machine, not in a sandbox.
func host(t testing.TB, script string) {
	t.Helper()
	if out, err := exec.Command("bash", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%s\n%v: %s", script, err, out)
	}
}

// shell makes one word of the shell.
func shell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
