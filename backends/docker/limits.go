package docker

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/system"
	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

// facts are what the engine says of itself, once it has been asked with success.
type facts struct {
	mu    sync.Mutex
	info  *system.Info
	disks bool // those that it uses can be told, and bounded
}

func (d *Driver) info(ctx context.Context) (*system.Info, error) {
	d.facts.mu.Lock()
	defer d.facts.mu.Unlock()
	if d.facts.info != nil {
		return d.facts.info, nil
	}
	info, err := d.engine.Info(ctx)
	if err != nil {
		return nil, err
	}
	d.facts.info = &info
	return &info, nil
}

// option says whether the engine has a security option, as far as it has been asked: "rootless", "userns".
func (d *Driver) option(name string) bool {
	d.facts.mu.Lock()
	defer d.facts.mu.Unlock()
	return d.facts.info != nil && slices.ContainsFunc(d.facts.info.SecurityOptions, func(o string) bool {
		return o == "name="+name || strings.HasPrefix(o, "name="+name+",")
	})
}

// Enforces names the limits that the engine can enforce; where it does not answer, those that every engine can, since no
// start will get further.
//
// Not among them: the disk, since only a few file systems can bound a container's layer, and none a mounted workspace;
// the network, which the engine cannot bound at all, but for one that is filtered; and see WhyNot.
func (d *Driver) Enforces() []string {
	can := map[string]bool{backends.LimitCPU: true, backends.LimitCPUShares: true, backends.LimitAffinity: true,
		backends.LimitMemory: true, backends.LimitProcesses: true}
	for _, name := range []string{backends.LimitNetwork, backends.LimitConnections, backends.LimitPorts, backends.LimitEgress} {
		can[name] = d.filtered()
	}
	ctx, cancel := context.WithTimeout(d.life, 2*time.Second)
	defer cancel()
	if info, err := d.info(ctx); err == nil {
		maps.Copy(can, map[string]bool{
			backends.LimitCPU: info.CPUCfsQuota, backends.LimitCPUShares: info.CPUShares, backends.LimitAffinity: info.CPUSet,
			backends.LimitMemory: info.MemoryLimit, backends.LimitSwap: info.MemoryLimit && info.SwapLimit,
			backends.LimitSwappiness: info.MemoryLimit && info.CgroupVersion == "1", backends.LimitProcesses: info.PidsLimit,
		})
		for _, name := range []string{backends.LimitDiskRead, backends.LimitDiskWrite} {
			can[name] = d.WhyNot(name) == nil
		}
	}
	return slices.DeleteFunc(slices.Clone(backends.LimitNames), func(name string) bool { return !can[name] })
}

// Resident says whether the sandboxes use up this host.
func (d *Driver) Resident() bool { return d.config.shared() }

// resources are the limits as the engine knows them; those of which nothing was said have their defaults.
func (d *Driver) resources(l sandbox.Limits) container.Resources {
	r := container.Resources{CpusetCpus: l.Affinity, CPUShares: int64(l.CPUShares)}
	cpu, memory, processes := l.CPU, l.Memory, int64(l.Processes)
	if cpu == 0 {
		cpu = sandbox.DefaultCPU
	}
	if memory == 0 {
		memory = sandbox.DefaultMemory
	}
	if processes == 0 {
		processes = sandbox.DefaultProcesses
	}
	if cpu > 0 {
		r.NanoCPUs = d.cores(cpu)
	}
	if memory > 0 {
		r.Memory, r.MemorySwap = memory, memory+max(0, l.Swap)
		if l.Swap < 0 {
			r.MemorySwap = -1
		}
		if l.Swappiness > 0 {
			s := int64(l.Swappiness)
			r.MemorySwappiness = &s
		}
	}
	if processes > 0 {
		processes += serverThreads
		r.PidsLimit = &processes
	}
	return r
}

// openFiles is how many descriptors a process may have: an engine's own default is often a billion, with which a program of a
// sandbox takes the kernel's memory outside of any limit, and programs that close all they could have take minutes.
const openFiles = 65536

// ulimits are those of every process: no dump of a memory is written anywhere. An engine without the right to raise limits,
// as in a container, cannot start what may have more than itself, and is taken to have what this process has; of one elsewhere
// nobody knows.
func (d *Driver) ulimits() []*container.Ulimit {
	all := []*container.Ulimit{{Name: "core"}}
	if d.option("rootless") || !d.config.shared() {
		return all
	}
	files := uint64(openFiles)
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err == nil {
		files = min(files, own.Max)
	}
	return append(all, &container.Ulimit{Name: "nofile", Soft: int64(files), Hard: int64(files)})
}

// serverThreads is how many threads sandboxd has besides the processes of the sandbox, in whose control group it is: those it
// uses, 8 to 12, and spareThreads that it makes before any program runs. A Go program that cannot make a thread ends.
const (
	spareThreads  = 24
	serverThreads = spareThreads + 12
)

// cores gives so many processors as the engine counts them. More than there are it refuses, and all that there are is
// what whoever asks for more will get.
func (d *Driver) cores(n float64) int64 {
	d.facts.mu.Lock()
	info := d.facts.info
	d.facts.mu.Unlock()
	if info != nil && info.NCPU > 0 {
		n = min(n, float64(info.NCPU))
	}
	return max(int64(n*1e9), 10_000_000) // the engine's least is a hundredth of one
}
