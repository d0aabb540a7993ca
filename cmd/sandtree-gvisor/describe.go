package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// describe writes the description of the sandbox as gVisor reads it.
func (o *order) describe() (*specs.Spec, error) {
	s := &specs.Spec{
		Version:  specs.Version,
		Hostname: o.Hostname,
		Root:     &specs.Root{Path: rootDir, Readonly: !o.Overlay},
		Process: &specs.Process{
			User: specs.User{UID: o.UID, GID: o.GID}, Args: o.Args, Env: o.Env, Cwd: "/",
			// No program has a capability, nor can get one.
			Capabilities: &specs.LinuxCapabilities{}, NoNewPrivileges: true, OOMScoreAdj: &o.OOMScore,
		},
		Mounts: o.mounts(),
		Linux: &specs.Linux{
			Namespaces: []specs.LinuxNamespace{{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace},
				{Type: specs.MountNamespace}, {Type: specs.UserNamespace}},
		},
	}
	for _, m := range o.IDs {
		mapping := specs.LinuxIDMapping{ContainerID: m.Inside, HostID: m.Outside, Size: m.Size}
		s.Linux.UIDMappings = append(s.Linux.UIDMappings, mapping)
		s.Linux.GIDMappings = append(s.Linux.GIDMappings, mapping)
	}
	for _, r := range o.Rlimits {
		s.Process.Rlimits = append(s.Process.Rlimits, specs.POSIXRlimit{Type: r.Type, Hard: r.Max, Soft: r.Max})
	}
	b, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return s, os.WriteFile(filepath.Join(bundleDir, "config.json"), b, 0o644)
}

func (o *order) mounts() []specs.Mount {
	all := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc"},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"ro", "nosuid", "nodev", "noexec"}},
		{Destination: "/dev", Type: "tmpfs", Source: "dev"},
	}
	for _, t := range o.Tmpfs {
		options := []string{"nosuid", "nodev", "mode=" + t.Mode}
		if t.Size > 0 {
			options = append(options, "size="+strconv.FormatInt(t.Size, 10))
		}
		all = append(all, specs.Mount{Destination: t.Target, Type: "tmpfs", Source: "tmpfs", Options: options})
	}
	for i, t := range o.Trees {
		switch {
		case t.Target == "/":
		case t.Writable:
			all = append(all, bind(o.source(i), t.Target, "rw"))
		case o.given():
			all = append(all, bind(o.source(i), t.Target, "ro"))
		}
	}
	if o.given() {
		for i, f := range o.Files {
			all = append(all, bind(filepath.Join(mountsDir, "file"+strconv.Itoa(i)), f.Path, "ro"))
		}
	}
	return all
}

func bind(source, target, mode string) specs.Mount {
	return specs.Mount{Destination: target, Type: "bind", Source: source, Options: []string{"rbind", mode, "nosuid", "nodev"}}
}
