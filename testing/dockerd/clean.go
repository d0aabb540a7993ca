package dockerd

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// remove removes what a daemon that has ended leaves: processes that it did not end since it was killed, mounts, control
// groups, the bridge, and its directory.
func (e *Engine) remove() error {
	killBelow(e.dir)
	unmountBelow(e.dir)
	removeGroups(e.name)
	if e.bridge {
		exec.Command("ip", "link", "delete", e.name).Run()
	}
	err := os.RemoveAll(e.dir)
	for range 20 { // a container's last mount may go a moment after its process
		if err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
		unmountBelow(e.dir)
		err = os.RemoveAll(e.dir)
	}
	return err
}

// removeStale removes the engines of test binaries that were killed.
func removeStale() {
	owners, _ := filepath.Glob(filepath.Join(os.TempDir(), "std-*", "owner"))
	for _, file := range owners {
		b, err := os.ReadFile(file)
		pid, err2 := strconv.Atoi(string(b))
		if err != nil || err2 != nil || syscall.Kill(pid, 0) == nil {
			continue
		}
		e := &Engine{dir: filepath.Dir(file), name: "std" + strconv.Itoa(pid), bridge: true}
		_ = e.remove() // what cannot be removed is in nobody's way
	}
}

// killBelow kills the processes whose command line names something in dir: the daemon, its containerd, their shims; and
// what the shims hold, whose cgroup is the engine's.
func killBelow(dir string) {
	entries, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range entries {
		b, _ := os.ReadFile(file)
		program, _, _ := bytes.Cut(b, []byte{0})
		switch filepath.Base(string(program)) {
		case "dockerd", "containerd", "containerd-shim", "containerd-shim-runc-v2", "docker-proxy":
			if bytes.Contains(b, []byte(dir+"/")) {
				pid, _ := strconv.Atoi(strings.Split(file, "/")[2])
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}

// removeGroups kills what is in the engine's control groups and removes them.
func removeGroups(name string) {
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + name)
	more, _ := filepath.Glob("/sys/fs/cgroup/" + name)
	for _, group := range append(groups, more...) {
		for range 20 {
			var dirs []string
			_ = filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
			var failed error
			for i := len(dirs) - 1; i >= 0; i-- {
				procs, _ := os.ReadFile(filepath.Join(dirs[i], "cgroup.procs"))
				for _, f := range strings.Fields(string(procs)) {
					if pid, err := strconv.Atoi(f); err == nil && pid > 1 {
						syscall.Kill(pid, syscall.SIGKILL)
					}
				}
				failed = errors.Join(failed, os.Remove(dirs[i]))
			}
			if failed == nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func unmountBelow(dir string) {
	b, _ := os.ReadFile("/proc/self/mountinfo")
	var points []string
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			points = append(points, f[4])
		}
	}
	for i := len(points) - 1; i >= 0; i-- {
		_ = unix.Unmount(points[i], unix.MNT_DETACH)
	}
}

// addBridge makes a network bridge with an address of its own, out of a range that is for tests of networks.
func addBridge(name string) error {
	subnet := strconv.Itoa(os.Getpid() % 256)
	for _, args := range [][]string{
		{"link", "add", name, "type", "bridge"}, {"address", "add", "198.19." + subnet + ".1/24", "dev", name}, {"link", "set", name, "up"},
	} {
		if err := exec.Command("ip", args...).Run(); err != nil {
			exec.Command("ip", "link", "delete", name).Run()
			return err
		}
	}
	return nil
}
