package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
)

func TestMemoryGroups(t *testing.T) {
	for own, want := range map[string][]string{
		"0::/box\n":                            {"/c", "/sys/fs/cgroup/box", "/sys/fs/cgroup"},
		"8:pids:/a\n4:cpu,memory:/b:c\n0::/\n": {"/c", "/sys/fs/cgroup/memory/b:c", "/sys/fs/cgroup/memory", "/sys/fs/cgroup", "/sys/fs/cgroup"},
		"":                                     {"/c"},
		"nonsense\n1:memory\n":                 {"/c"},
		"3:memoryless:/x\n":                    {"/c"},
	} {
		if got := memoryGroups("/c", own); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", own, got, want)
		}
	}
}

func TestKillsAreCounted(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("memory.events", "low 0\nhigh 0\nmax 7\noom 1\noom_kill 4\noom_group_kill 0\n")
	write("memory.max", "1048576\n")
	w := newMemoryWatch(dir)
	if text, ok := w.struck(); ok || w.killed() != 0 || w.bound() != 1<<20 || w.trouble() != "" {
		t.Errorf("%q, %d, %d", text, w.killed(), w.bound())
	}
	write("memory.events", "oom 2\noom_kill 6\n")
	if text, ok := w.struck(); !ok || !strings.Contains(text, "killed 2 of the sandbox's processes for want of memory") {
		t.Errorf("%q, %t", text, ok)
	}
	if text, ok := w.struck(); ok {
		t.Errorf("again: %q", text)
	}
	if w.killed() != 2 || !strings.HasPrefix(w.trouble(), "out of memory: ") {
		t.Errorf("%d, %q", w.killed(), w.trouble())
	}
	write("memory.max", "max\n")
	if w.bound() != 0 {
		t.Errorf("%d", w.bound())
	}
}

func TestAKillIsToldInTheObservation(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "memory.events")
	kill := func(n int) {
		if err := os.WriteFile(file, fmt.Appendf(nil, "oom_kill %d\n", n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kill(0)
	s := &Server{log: discard(), memory: newMemoryWatch(dir)}
	killed := sandbox.Observation{Content: "Killed", Result: sandbox.RunResult{Metadata: sandbox.RunMetadata{ExitCode: 137, Suffix: "\n[done]"}}}
	if o, _ := s.pressed(t.Context(), killed, nil); o.Result.(sandbox.RunResult).Metadata.Suffix != "\n[done]" {
		t.Errorf("%+v, and nothing was killed", o)
	}
	kill(1)
	o, _ := s.pressed(t.Context(), killed, nil)
	if suffix := o.Result.(sandbox.RunResult).Metadata.Suffix; !strings.HasPrefix(suffix, "\n[done]\n[The kernel has killed 1 ") || o.Content != "Killed" {
		t.Errorf("%q", suffix)
	}
	kill(2)
	if o, _ := s.pressed(t.Context(), sandbox.Failed("", "the kernel died"), nil); !strings.Contains(o.Content, "want of memory") {
		t.Errorf("%+v", o)
	}
}

func TestADiskThatIsFull(t *testing.T) {
	s := &Server{config: Config{Dir: t.TempDir()}}
	full := &sandbox.Error{Code: sandbox.Exhausted, Op: "files.Write", Err: fmt.Errorf("x: %w", syscall.ENOSPC)}
	err := s.diskFull(full)
	if sandbox.CodeOf(err) != sandbox.Exhausted || !strings.Contains(err.Error(), "bytes are free") || !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	other := &sandbox.Error{Code: sandbox.Exhausted, Op: "x", Err: syscall.EMFILE}
	if s.diskFull(other) != error(other) {
		t.Error("another want was changed")
	}
}
