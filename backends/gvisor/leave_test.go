package gvisor_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/backends/gvisor"
)

// TestCompanionSeesNothing looks at the machine's files as each process of a sandbox would that was broken into.
func TestCompanionSeesNothing(t *testing.T) {
	s := in(t, gvisor.Config{})
	run(t, s, "true")
	seen := 0
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range all {
		line, err := os.ReadFile(f)
		if err != nil || !strings.HasSuffix(string(line), "sandtree-gvisor\x00hold\x00") || !ours(filepath.Dir(f)) {
			continue
		}
		seen++
		entries, err := os.ReadDir(filepath.Join(filepath.Dir(f), "root"))
		if err != nil || len(entries) != 1 || entries[0].Name() != "tmp" {
			t.Errorf("the companion sees %v, %v", entries, err)
		}
		b, err := os.ReadFile(filepath.Join(filepath.Dir(f), "mountinfo"))
		if n := strings.Count(string(b), "\n"); err != nil || n != 2 {
			t.Errorf("the companion has %d mounts, %v:\n%s", n, err, b)
		}
	}
	if seen == 0 {
		t.Error("there is no companion")
	}
}

// ours says whether a process, by its directory, is a child of this one.
func ours(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, "stat"))
	_, rest, ok := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	return err == nil && ok && len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid())
}
