package chaos

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/backends/local"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// A place is a backend that a storm goes over.
type place interface {
	name() string
	args() []string                    // of a controller
	kill(f *field, id sandbox.ID) bool // some part of a sandbox, if it is there at the moment
	open(f *field) (backends.Driver, error)
	left(f *field) []string // what is there of the sandboxes besides processes and the state directory
}

// plain is the local backend.
type plain struct{}

func (plain) name() string         { return "local" }
func (plain) args() []string       { return nil }
func (plain) left(*field) []string { return nil }
func (plain) open(f *field) (backends.Driver, error) {
	return local.New(local.Config{StateDir: f.state, Sandboxd: f.sandboxd})
}

func (plain) kill(f *field, id sandbox.ID) bool {
	out, _ := exec.Command("pgrep", "-f", "--", filepath.Join(f.state, "local", string(id))+"/").Output()
	for _, word := range strings.Fields(string(out)) {
		pid, _ := strconv.Atoi(word)
		exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if exe == f.sandboxd && syscall.Kill(pid, syscall.SIGKILL) == nil {
			return true
		}
	}
	return false
}

// jailed is the jail backend, whose sandboxes are paused and stopped in between.
type jailed struct{}

func (jailed) name() string   { return "jail" }
func (jailed) args() []string { return []string{"-think", "80ms"} }
func (jailed) open(f *field) (backends.Driver, error) {
	return jail.New(jail.Config{StateDir: f.state, Sandboxd: f.sandboxd})
}

// kill kills the server, which is the first process of the jail, or a program of it.
func (jailed) kill(f *field, id sandbox.ID) bool {
	var server held.Identity
	if held.ReadJSON(filepath.Join(f.state, "jail", string(id), "pid.json"), &server) != nil || !held.Alive(server) {
		return false
	}
	if f.random.IntN(3) == 0 {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", server.PID, server.PID))
		if words := strings.Fields(string(children)); len(words) > 0 {
			pid, _ := strconv.Atoi(words[0])
			return syscall.Kill(pid, syscall.SIGKILL) == nil
		}
	}
	return syscall.Kill(server.PID, syscall.SIGKILL) == nil
}

func (jailed) left(f *field) []string {
	left := marked(f)
	for _, pattern := range []string{"/sys/fs/cgroup/*/sandtree/", "/sys/fs/cgroup/sandtree/"} {
		for _, id := range f.ids {
			groups, _ := filepath.Glob(pattern + string(id) + ".*")
			left = append(left, groups...)
		}
	}
	homes, _ := filepath.Glob(filepath.Join(f.state, "jail", "*"))
	ids, _ := filepath.Glob(filepath.Join(f.state, "jail/.ids/*"))
	return append(left, slices.DeleteFunc(append(homes, ids...), func(path string) bool { return filepath.Base(path) == ".ids" })...)
}

// marked are the processes of the sandboxes.
func marked(f *field) (left []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range all {
		b, _ := os.ReadFile(file)
		for _, id := range f.ids {
			if strings.Contains("\x00"+string(b), "\x00SANDTREE_SANDBOX="+string(id)+".") {
				left = append(left, file)
			}
		}
	}
	return left
}

// remove ends the sandboxes, and sees that nothing is left.
func (f *field) remove() {
	driver, err := f.open(f)
	if err != nil {
		f.t.Fatal(err)
	}
	b := backends.Open(f.name(), driver, backends.Config{})
	for _, id := range f.ids {
		if err := b.Remove(context.Background(), id, backends.AnyEpoch, 0); err != nil {
			f.t.Error(err)
		}
	}
	if err := b.Close(); err != nil {
		f.t.Error(err)
	}
	if again, err := f.open(f); err == nil { // which takes back what was claimed for nobody
		err = backends.Open(f.name(), again, backends.Config{}).Close()
		if err != nil {
			f.t.Error(err)
		}
	}
	left := f.left(f)
	if out, _ := exec.Command("pgrep", "-af", "--", f.state).Output(); len(out) > 0 {
		left = append(left, "processes: "+string(out))
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		f.t.Error(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, f.state+"/") {
			left = append(left, "a mount: "+line)
		}
	}
	devices, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, d := range devices {
		if b, _ := os.ReadFile(d); strings.HasPrefix(string(b), f.state+"/") {
			left = append(left, "a loop device: "+string(b))
		}
	}
	if len(left) > 0 {
		f.t.Errorf("left are %q", left)
	}
}
