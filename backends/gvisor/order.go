package gvisor

// protocol is the version of what follows, which the companion has too: it is a module of its own and imports nothing of
// this one. See cmd/sandtree-gvisor/order.go.
const protocol = 1

// order says what sandbox the companion is to make. Nothing in it is secret.
type order struct {
	Protocol int         `json:"protocol"`
	ID       string      `json:"id"`
	Hostname string      `json:"hostname"`
	Trees    []tree      `json:"trees"` // by descriptor, from treeFD on
	Files    []file      `json:"files"`
	Links    []link      `json:"links"`
	Tmpfs    []tmpfs     `json:"tmpfs"`
	Overlay  bool        `json:"overlay"`
	Args     []string    `json:"args"`
	Env      []string    `json:"env"`
	UID      uint32      `json:"uid"`
	GID      uint32      `json:"gid"`
	IDs      []idMapping `json:"ids"`
	Rlimits  []rlimit    `json:"rlimits"`
	Loopback bool        `json:"loopback"`
	OOM      string      `json:"oom"`
	OOMScore int         `json:"oom_score"`
	Debug    string      `json:"debug"`
}

// A tree is a mount that is nowhere yet, of a directory or a file.
type tree struct {
	Target   string `json:"target"` // "/" is the root itself
	File     bool   `json:"file"`
	Writable bool   `json:"writable"`
}

type file struct {
	Path    string `json:"path"`
	Content string `json:"content"`
}

type link struct {
	Path   string `json:"path"`
	Target string `json:"target"`
}

type tmpfs struct {
	Target string `json:"target"`
	Size   int64  `json:"size"` // bytes; 0 is as much as there is
	Mode   string `json:"mode"`
}

type idMapping struct {
	Inside  uint32 `json:"inside"`
	Outside uint32 `json:"outside"`
	Size    uint32 `json:"size"`
}

type rlimit struct {
	Type string `json:"type"`
	Max  uint64 `json:"max"`
}

// How the companion ends, besides as the sandbox's first process did: with that one's exit code, or 128 and the signal that
// ended it.
const (
	exitFailed  = 250 // for a reason that it has said
	exitCannot  = 251 // the machine cannot run gVisor
	exitStarved = 252 // the kernel killed what the sandbox is made of, for want of memory
	exitBroken  = 253 // what the sandbox is made of ended otherwise
)
