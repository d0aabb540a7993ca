package docker

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"

	"github.com/sandtree/sandtree/sandbox"
)

// check says what is wrong with a configuration that has its defaults, beginning with the field.
func (c Config) check() error {
	if c.StateDir == "" {
		return errors.New("StateDir is not set")
	}
	if _, err := reference.ParseNormalizedNamed(c.Image); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	if scheme, _, _ := strings.Cut(c.Host, "://"); !slices.Contains([]string{"unix", "tcp", "http", "https", "npipe"}, scheme) {
		return fmt.Errorf("host: want unix://PATH or tcp://HOST:PORT, have %q", c.Host)
	}
	for field, f := range map[string]struct {
		value string
		of    []string
	}{
		"pull":  {string(c.Pull), []string{string(PullMissing), string(PullAlways), string(PullNever)}},
		"reach": {c.Reach, []string{reachSocket, reachPort, reachRemote}},

		"storage": {c.Storage, []string{"", storageDirectory, storageMemory}},
	} {
		if !slices.Contains(f.of, f.value) {
			return fmt.Errorf("%s: want one of %q, have %q", field, f.of, f.value)
		}
	}
	for field, path := range map[string]string{"workdir": c.Workdir, "home": c.Home} {
		if path != "" && (!filepath.IsAbs(path) || filepath.Clean(path) != path || path == "/") {
			return fmt.Errorf("%s: %q is no absolute path below /", field, path)
		}
	}
	uid, _, err := c.user()
	if err != nil {
		return fmt.Errorf("user: %w", err)
	}
	if me := os.Geteuid(); me != 0 && uid > 0 && uid != me && c.shared() {
		return fmt.Errorf("user: only root can have programs run as %d, and reach their server", uid)
	}
	if _, err := c.platform(); err != nil {
		return fmt.Errorf("platform: %w", err)
	}
	if _, err := c.deviceRequests(); err != nil {
		return fmt.Errorf("gpus: %w", err)
	}
	if c.Reach != reachSocket && (c.Network == networkHost || c.Network == networkNone) {
		return fmt.Errorf("network: %q has no port that could be published, by which a server of this engine is reached", c.Network)
	}
	if c.Network == networkFiltered {
		switch {
		case c.Reach != reachSocket:
			return fmt.Errorf("network: %q needs containers that are processes of this machine's kernel", c.Network)
		case os.Geteuid() != 0:
			return fmt.Errorf("network: %q needs root, for the network of a container to be entered", c.Network)
		case len(c.Networks) > 0 || len(c.Publish) > 0:
			return fmt.Errorf("network: %q has no other networks, and no ports that could be published", c.Network)
		}
	}
	if c.Reach == reachRemote && c.Storage == storageMemory {
		return fmt.Errorf("storage: %q needs an engine on this machine", storageMemory)
	}
	if c.Reach == reachRemote && c.ReadOnly {
		return errors.New("read_only: sandboxd cannot be copied into a root that is read-only; that needs an engine on this machine")
	}
	return errors.Join(c.checkPorts(), c.checkExtra(), c.checkEnv())
}

func (c Config) checkPorts() error {
	if first, last, err := nat.ParsePortRange(c.PortRange); err != nil || first == 0 || first > last {
		return fmt.Errorf("port_range: want two ports, as in %q, have %q", defaultPorts, c.PortRange)
	}
	if _, err := netip.ParseAddr(c.PortAddress); err != nil {
		return fmt.Errorf("port_address: %w", err)
	}
	for _, p := range c.Publish {
		number, proto, _ := strings.Cut(p, "/")
		if n, err := strconv.ParseUint(number, 10, 16); err != nil || n == 0 || proto != "" && proto != "tcp" && proto != "udp" {
			return fmt.Errorf("publish: want ports, as in \"3000\" or \"53/udp\", have %q", p)
		}
	}
	return nil
}

// user gives the numbers of User, both -1 if it is "".
func (c Config) user() (uid, gid int, err error) {
	if c.User == "" {
		return -1, -1, nil
	}
	u, g, two := strings.Cut(c.User, ":")
	if !two {
		g = u
	}
	uid, err = strconv.Atoi(u)
	if err == nil {
		gid, err = strconv.Atoi(g)
	}
	if err != nil || uid < 0 || gid < 0 {
		return 0, 0, fmt.Errorf("want a number, or two as in \"1000:100\": names are the image's, and have no meaning outside; have %q", c.User)
	}
	return uid, gid, nil
}

// owned are the members of HostConfig that have fields in Config, or on which the driver rests.
var owned = []string{"Mounts", "Binds", "NetworkMode", "PortBindings", "Runtime", "ReadonlyRootfs", "RestartPolicy", "AutoRemove", "PidMode",
	"Memory", "MemorySwap", "NanoCpus", "PidsLimit", "DeviceRequests", "CapAdd", "LogConfig", "ContainerIDFile"}

func (c Config) checkExtra() error {
	if c.Extra == "" {
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(c.Extra), &members); err != nil {
		return fmt.Errorf("extra: want an object of JSON: %w", err)
	}
	for name := range members {
		for _, o := range owned {
			if strings.EqualFold(name, o) {
				return fmt.Errorf("extra: %s is set by the driver", o)
			}
		}
	}
	return c.addExtra(&container.HostConfig{})
}

func (c Config) checkEnv() error {
	for name, value := range c.Env {
		if err := sandbox.CheckEnv(name, value); err != nil {
			return fmt.Errorf("env: %w", err)
		}
		if strings.HasPrefix(name, environmentTaken) {
			return errors.New("env: names that begin with " + environmentTaken + " are the server's")
		}
	}
	return nil
}
