package docker

import (
	"context"
	"net"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"

	"github.com/sandtree/sandtree/backends"
)

// ports are what the container's network opens to the engine's machine. The engine chooses a free port of the range at each
// start, and goes on to the next one where another program has it: nothing is chosen here, and so nothing can be stolen.
func (d *Driver) ports() (nat.PortSet, nat.PortMap) {
	published := d.config.Publish
	if d.config.Reach != reachSocket {
		published = append([]string{serverPort}, published...)
	}
	if len(published) == 0 || d.config.Network == networkHost || d.config.Network == networkNone || d.filtered() {
		return nil, nil
	}
	exposed, bindings := nat.PortSet{}, nat.PortMap{}
	for _, p := range published {
		if !strings.Contains(p, "/") {
			p += "/tcp"
		}
		port := nat.Port(p)
		exposed[port] = struct{}{}
		bindings[port] = []nat.PortBinding{{HostIP: d.config.PortAddress, HostPort: d.config.PortRange}}
	}
	return exposed, bindings
}

// address is where a port of a container is reached, "" if it is not.
func (d *Driver) address(c container.InspectResponse, port string) string {
	if c.NetworkSettings == nil {
		return ""
	}
	bound := c.NetworkSettings.Ports[nat.Port(port)]
	if len(bound) == 0 {
		return ""
	}
	host := bound[0].HostIP
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = defaultAddress
	}
	if name := d.engineHost(); name != "" {
		host = name
	}
	return net.JoinHostPort(host, bound[0].HostPort)
}

// engineHost is the machine of an engine that is reached by TCP; "" is this one.
func (d *Driver) engineHost() string {
	rest, ok := strings.CutPrefix(d.config.Host, "tcp://")
	if !ok {
		return ""
	}
	host, _, err := net.SplitHostPort(rest)
	if err != nil {
		return ""
	}
	return host
}

var _ backends.PortExposer = (*instance)(nil)

// Ports gives where the published ports are reached until the container ends; after the next start that can be elsewhere.
func (i *instance) Ports(ctx context.Context) (map[string]string, error) {
	c, err := i.d.engine.ContainerInspect(ctx, i.container.id)
	if err != nil {
		return nil, failed("docker.Ports", i.label.ID, err)
	}
	ports := map[string]string{}
	if c.NetworkSettings != nil {
		for port := range c.NetworkSettings.Ports {
			if address := i.d.address(c, string(port)); address != "" && string(port) != serverPort {
				ports[string(port)] = address
			}
		}
	}
	return ports, nil
}
