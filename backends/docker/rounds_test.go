package docker

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/volume"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
)

// TestRounds ends sandboxes in all ways at random, and revives them; at the end nothing is left. CHAOS=full does it a hundred
// times.
func TestRounds(t *testing.T) {
	need.Root(t)
	rounds := 8
	if os.Getenv("CHAOS") == "full" {
		rounds = 100
	}
	c := testConfig(t)
	upper := t.TempDir()
	c.Mounts = append(c.Mounts, upper+":/mnt/over:overlay")
	d, b := opened(t, c)
	ctx := t.Context()
	ways := map[string]func(i *instance) error{
		"server":  func(i *instance) error { return syscall.Kill(i.pid, syscall.SIGKILL) },
		"asked":   func(i *instance) error { return syscall.Kill(i.pid, syscall.SIGTERM) },
		"engine":  func(i *instance) error { return d.engine.ContainerKill(ctx, i.container.id, "KILL") },
		"removed": func(i *instance) error { return d.engine.ContainerRemove(ctx, i.container.id, removeByForce) },
		"halted":  func(i *instance) error { return i.Halt(ctx) },
		"paused": func(i *instance) error {
			if err := i.Pause(ctx); err != nil {
				return err
			}
			return i.Halt(ctx)
		},
	}
	var names []string
	for name := range ways {
		names = append(names, name)
	}
	ids := map[string]bool{}
	for n := range rounds {
		s, i := started(t, b, sandbox.Spec{ID: "rounds", Epoch: uint64(n)})
		prints(t, s, fmt.Sprintf("echo x >>runs; wc -l <runs; echo $((%d+1))", n), fmt.Sprintf("%d\n%d", n+1, n+1))
		ids[i.container.id] = true
		name := names[rand.N(len(names))]
		if err := ways[name](i); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ends(t, s)
		s.Close()
	}
	if err := b.Remove(ctx, "rounds", uint64(rounds), time.Second); err != nil {
		t.Fatal(err)
	}
	left := must(d.engine.ContainerList(ctx, container.ListOptions{All: true}))
	for _, l := range left {
		if l.Labels[labelPrefix+"system"] == d.system {
			t.Errorf("a container is left: %+v", l)
		}
	}
	for _, v := range must(d.engine.VolumeList(ctx, volume.ListOptions{})).Volumes {
		if strings.Contains(v.Options["o"], c.StateDir) {
			t.Errorf("a volume is left: %+v", v)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), c.StateDir) {
		t.Errorf("a mount is left, or %v", err)
	}
	if left := leftGroups(ids); len(left) > 0 {
		t.Errorf("control groups are left: %v", left)
	}
}

var removeByForce = container.RemoveOptions{Force: true}

// leftGroups gives the control groups that are named after one of the containers.
func leftGroups(ids map[string]bool) (left []string) {
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			for id := range ids {
				if strings.Contains(filepath.Base(path), id) {
					left = append(left, path)
				}
			}
		}
		return nil
	})
	return left
}
