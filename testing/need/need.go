// Package need lets a test say what it needs of the machine: root, a program, an engine. Where the thing is missing
// the test is skipped, with the reason; but where CI has promised the thing it fails, so that a test cannot vanish
// from CI unseen.
//
// The promise is two environment variables, which .ci/run exports: CI=true, and CI_PROMISES, the words for the things
// that are there, separated by spaces, as in CI_PROMISES="root bash git python3 docker". A word is the name of a
// program, or "root", "notroot", "docker", "cgroup", "ipykernel", "nftables", "jail".
package need

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// CI says whether the test runs in CI.
func CI() bool { return os.Getenv("CI") == "true" }

// Promised says whether CI has promised the thing.
func Promised(thing string) bool {
	return CI() && slices.Contains(strings.Fields(os.Getenv("CI_PROMISES")), thing)
}

// Root needs a test that runs as root.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		lacks(t, "root", "needs root")
	}
}

// NotRoot needs a test that runs as an ordinary user: root may do what the test shows to be refused.
func NotRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		lacks(t, "notroot", "needs a user other than root")
	}
}

// Thorough is for a test that takes minutes and asks in one more place what others ask too. CONFORM=1 has it run, as make
// conform-test does, which is part of what CI runs.
func Thorough(t testing.TB) {
	t.Helper()
	if os.Getenv("CONFORM") == "" {
		t.Skip("takes minutes: CONFORM=1 has it run")
	}
}

// Tool needs programs on PATH, and returns where the first one is.
func Tool(t testing.TB, names ...string) string {
	t.Helper()
	first := ""
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			lacks(t, name, "needs "+name+": "+err.Error())
		}
		if first == "" {
			first = path
		}
	}
	return first
}

// Docker needs a Docker engine that answers on its Unix socket: the one of DOCKER_HOST, or the usual one.
func Docker(t testing.TB) {
	t.Helper()
	path := "/var/run/docker.sock"
	if host, ok := strings.CutPrefix(os.Getenv("DOCKER_HOST"), "unix://"); ok {
		path = host
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		lacks(t, "docker", "needs a Docker engine: "+err.Error())
		return
	}
	conn.Close()
}

// Cgroup needs a cgroup tree in which a test may make groups: root, and /sys/fs/cgroup mounted for writing. It returns
// a fresh group's directory, of the unified hierarchy or else of the pids controller, removed when the test ends.
func Cgroup(t testing.TB) string {
	t.Helper()
	const root = "/sys/fs/cgroup"
	parent := root
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil {
		parent = filepath.Join(root, "pids")
	}
	dir, err := os.MkdirTemp(parent, "sandtree-test-")
	if err != nil {
		lacks(t, "cgroup", "needs a writable cgroup tree: "+err.Error())
		return ""
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Errorf("remove the test's cgroup: %v", err)
		}
	})
	return dir
}

// MCP needs the tool servers that .ci/mcp installs, and node to run them. It returns the program of one of them, by its
// name without "server-".
func MCP(t testing.TB, server string) (node, script string) {
	t.Helper()
	node = Tool(t, "node")
	cache, err := os.UserCacheDir()
	if err == nil {
		script = filepath.Join(cache, "sandtree/mcpservers/node_modules/@modelcontextprotocol/server-"+server+"/dist/index.js")
		_, err = os.Stat(script)
	}
	if err != nil {
		lacks(t, "mcp", "needs the tool servers that .ci/mcp installs: "+err.Error())
	}
	return node, script
}

func lacks(t testing.TB, thing, reason string) {
	t.Helper()
	if Promised(thing) {
		t.Fatalf("%s, and CI has promised it", reason)
		return
	}
	t.Skip(reason)
}
