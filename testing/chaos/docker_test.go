package chaos

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/docker"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/dockerd"
)

// contained is the docker backend on an engine of its own.
type contained struct {
	engine *dockerd.Engine
	client *client.Client
}

func (contained) name() string     { return "docker" }
func (c contained) args() []string { return []string{"-docker", c.engine.Host()} }
func (c contained) open(f *field) (backends.Driver, error) {
	return docker.New(docker.Config{StateDir: f.state, Sandboxd: f.sandboxd, Host: c.engine.Host(), Image: dockerd.Skeleton, Pull: docker.PullNever, Network: "none"})
}

// kill ends a container in one of the ways there are, or the engine.
func (c contained) kill(f *field, id sandbox.ID) bool {
	ctx := context.Background()
	if f.random.IntN(8) == 0 {
		c.engine.Kill()
		if err := c.engine.Start(); err != nil {
			f.t.Error(err)
		}
		return true
	}
	there := c.of(id, false)
	if len(there) == 0 {
		return false
	}
	switch f.random.IntN(3) {
	case 0:
		return c.client.ContainerKill(ctx, there[0], "KILL") == nil
	case 1:
		return c.client.ContainerRemove(ctx, there[0], container.RemoveOptions{Force: true}) == nil
	}
	one, err := c.client.ContainerInspect(ctx, there[0])
	return err == nil && one.State.Pid > 1 && syscall.Kill(one.State.Pid, syscall.SIGKILL) == nil
}

// of gives the containers of a sandbox.
func (c contained) of(id sandbox.ID, all bool) (ids []string) {
	list, _ := c.client.ContainerList(context.Background(), container.ListOptions{All: all, Filters: filters.NewArgs(filters.Arg("label", "sandtree.id="+string(id)))})
	for _, one := range list {
		ids = append(ids, one.ID)
	}
	return ids
}

func (c contained) left(f *field) (left []string) {
	for _, id := range f.ids {
		left = append(left, c.of(id, true)...)
	}
	homes, _ := filepath.Glob(filepath.Join(f.state, "docker", "*"))
	for _, h := range homes {
		if filepath.Base(h) != ".system" {
			left = append(left, h)
		}
	}
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, e fs.DirEntry, err error) error {
		if name := filepath.Base(path); err == nil && e.IsDir() && len(name) == 64 && strings.Contains(path, c.group()) {
			left = append(left, path) // every container of this engine is one of the storm's
		}
		return nil
	})
	return left
}

// group begins the names of the engine's control groups.
func (contained) group() string { return "/std" + strconv.Itoa(os.Getpid()) + "/" }
