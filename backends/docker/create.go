package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sandtree/sandtree/internal/trace"
	"github.com/sandtree/sandtree/sandbox"
)

// create makes the container of a sandbox, and gives its id. It is not started.
func (d *Driver) create(ctx context.Context, h home, l label, spec sandbox.Spec, program string) (string, error) {
	platform, err := d.config.platform()
	if err != nil {
		return "", err
	}
	config, host, err := d.container(h, l, spec, program)
	if err != nil {
		return "", err
	}
	var made container.CreateResponse
	err = d.withImage(ctx, spec.ID, func() error {
		// An engine goes on creating what nobody waits for any more, and it would be there after everything was undone.
		creating, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		_, created := trace.Step(ctx, sandbox.PhaseCreate)
		made, err = d.engine.ContainerCreate(creating, config, host, nil, platform, l.Container)
		if created(err); err == nil {
			err = ctx.Err()
		}
		return err
	})
	if err != nil {
		return "", err
	}
	for _, warning := range made.Warnings {
		d.log.Warn("the engine says of a container", "id", spec.ID, "warning", warning)
	}
	for _, name := range d.config.Networks {
		if err := d.engine.NetworkConnect(ctx, name, made.ID, &network.EndpointSettings{}); err != nil {
			return "", fmt.Errorf("networks: %w", err)
		}
	}
	if !d.config.shared() {
		ctx, copied := trace.Step(ctx, sandbox.PhaseCopy)
		err = d.furnishInside(ctx, made.ID, l, program)
		copied(err)
		return made.ID, err
	}
	return made.ID, nil
}

// container is the description of a sandbox's container.
func (d *Driver) container(h home, l label, spec sandbox.Spec, program string) (*container.Config, *container.HostConfig, error) {
	profile, err := d.config.seccomp()
	if err != nil {
		return nil, nil, err
	}
	devices, err := d.config.deviceRequests()
	if err != nil {
		return nil, nil, err
	}
	exposed, bindings := d.ports()
	c := &container.Config{
		Image:      cmp.Or(l.Image, d.config.Image),
		Hostname:   "sandbox",
		User:       strconv.Itoa(l.UID) + ":" + strconv.Itoa(l.GID),
		WorkingDir: "/", // so that nothing is made in the image where the workspace is mounted
		Entrypoint: []string{insideProgram},
		Cmd:        d.arguments(),
		Env:        d.environ(),
		Labels:     d.labels(l, spec),
		OpenStdin:  true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true,
		ExposedPorts: exposed,
		// That of an image would be run through the engine again and again, about a server that the image knows nothing of.
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		StopSignal:  "SIGTERM",
	}
	host := &container.HostConfig{
		Mounts:         d.mountsOf(h, l, program),
		NetworkMode:    d.networkMode(),
		PortBindings:   bindings,
		CapDrop:        []string{"ALL"},
		CapAdd:         d.config.CapAdd,
		SecurityOpt:    append([]string{"no-new-privileges"}, profile...),
		ReadonlyRootfs: d.config.ReadOnly,
		Runtime:        d.config.Runtime,
		IpcMode:        "private",
		MaskedPaths:    maskedPaths,
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyDisabled},
		// What programs print to the server's standard output, if they set out to, must not fill the engine's disk.
		LogConfig:   container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "1m", "max-file": "2"}},
		OomScoreAdj: outOfMemoryFirst,
		Resources:   d.resources(spec.Limits),
	}
	if d.config.shared() && d.option("userns") {
		// An engine that gives containers user numbers of their own would give the mounted directories to nobody there.
		host.UsernsMode = "host"
	}
	if err := d.throttle(&host.Resources, l, spec.Limits); err != nil {
		return nil, nil, err
	}
	host.DeviceRequests, host.Ulimits = devices, d.ulimits()
	if d.filtered() {
		host.DNS = []string{"127.0.0.1"} // a door
	}
	if d.config.ReadOnly {
		// Compilers and their tests run what they put there; the engine's default is noexec.
		host.Tmpfs = map[string]string{"/tmp": "mode=1777,exec", "/var/tmp": "mode=1777,exec", "/run": "mode=755"}
	}
	d.inMemory(host, l)
	return c, host, d.config.addExtra(host)
}

// networkMode is what the engine calls the network.
func (d *Driver) networkMode() container.NetworkMode {
	if d.filtered() {
		return networkNone
	}
	return container.NetworkMode(d.config.Network)
}

// maskedPaths are what the kernel tells of the whole machine and programs do not need: what engines hide by default, where
// things are in the kernel and what it has loaded.
var maskedPaths = []string{"/proc/acpi", "/proc/asound", "/proc/config.gz", "/proc/interrupts", "/proc/kallsyms", "/proc/kcore",
	"/proc/keys", "/proc/kmsg", "/proc/latency_stats", "/proc/modules", "/proc/sched_debug", "/proc/scsi", "/proc/slabinfo", "/proc/timer_list",
	"/proc/timer_stats", "/proc/vmallocinfo", "/sys/devices/virtual/powercap", "/sys/firmware", "/sys/kernel/debug", "/sys/kernel/security"}

// outOfMemoryFirst has the kernel end a sandbox rather than what the host itself runs, should the machine have no memory.
const outOfMemoryFirst = 300

// labels are what the engine knows a container by: whose it was at its creation, since they cannot change, or which blank.
func (d *Driver) labels(l label, spec sandbox.Spec) map[string]string {
	all := map[string]string{labelPrefix + "system": d.system}
	if l.Blank != "" {
		all[labelPrefix+"blank"] = l.Blank
		return all
	}
	all[labelPrefix+"id"], all[labelPrefix+"owner"] = string(spec.ID), spec.Owner
	all[labelPrefix+"epoch"] = strconv.FormatUint(spec.Epoch, 10)
	return all
}

// arguments is the command line of sandboxd, which anybody can read who may ask the engine. What is secret, or another at
// each start, comes on its standard input.
func (d *Driver) arguments() []string {
	args := []string{
		"--working-dir", d.config.Workdir,
		"--state-dir", insideBox + "/state",
		"--env-file", "-",
		"--ready-fd", "1", "--announce",
		"--spare-threads", strconv.Itoa(spareThreads),
		"--plugins", "agent_skills", // what a kernel has beside IPython; costs nothing before there is one
	}
	if d.config.Reach == reachSocket {
		args = append(args, "--listen", "unix:"+insideBox+"/sock", "--call-socket", insideBox+"/"+callSocket)
	} else {
		args = append(args, "--listen", "tcp:0.0.0.0:"+nat.Port(serverPort).Port())
	}
	return args
}

// environ is what the container's environment has besides that of its image; no secret.
func (d *Driver) environ() []string {
	home := d.config.Home
	if home == "" {
		home = sandboxHome
	}
	return []string{"HOME=" + home, "LANG=C.UTF-8", "TERM=xterm-256color", "SHELL=/bin/bash"}
}

// platform reads Config.Platform; nil is the engine's own.
func (c Config) platform() (*ocispec.Platform, error) {
	if c.Platform == "" {
		return nil, nil
	}
	parts := strings.Split(c.Platform, "/")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || parts[1] == "" {
		return nil, fmt.Errorf("want OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, have %q", c.Platform)
	}
	p := &ocispec.Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

// deviceRequests are the GPUs.
func (c Config) deviceRequests() ([]container.DeviceRequest, error) {
	if c.GPUs == "" {
		return nil, nil
	}
	r := container.DeviceRequest{Capabilities: [][]string{{"gpu"}}}
	if c.GPUs == "all" {
		r.Count = -1
		return []container.DeviceRequest{r}, nil
	}
	for id := range strings.SplitSeq(c.GPUs, ",") {
		if id = strings.TrimSpace(id); id == "" {
			return nil, fmt.Errorf("want \"all\" or ids as in \"0,2\", have %q", c.GPUs)
		}
		r.DeviceIDs = append(r.DeviceIDs, id)
	}
	return []container.DeviceRequest{r}, nil
}

// addExtra sets Config.Extra in h. A member that the engine's API does not have is an error. Code: Invalid.
func (c Config) addExtra(h *container.HostConfig) error {
	if c.Extra == "" {
		return nil
	}
	decoder := json.NewDecoder(strings.NewReader(c.Extra))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(h); err != nil {
		return coded{sandbox.Invalid, fmt.Errorf("extra: %w", err)}
	}
	return nil
}
