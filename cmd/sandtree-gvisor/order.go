package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// protocol is the version of what follows. The driver has the same types, since this module imports none of its; an order of
// another version is refused.
const protocol = 1

// order says what sandbox is to be made. It comes through descriptor orderFD, up to its end. Nothing in it is secret: what is
// comes through standard input, which is the sandbox's own, as standard output and error are.
type order struct {
	Protocol int         `json:"protocol"`
	ID       string      `json:"id"` // in gVisor's logs
	Hostname string      `json:"hostname"`
	Trees    []tree      `json:"trees"` // from descriptor treeFD on
	Files    []file      `json:"files"` // of the root
	Links    []link      `json:"links"` // of the root
	Tmpfs    []tmpfs     `json:"tmpfs"`
	Overlay  bool        `json:"overlay"` // the root can be written to; what is written is held in memory
	Args     []string    `json:"args"`    // of the first process, whose program is among the trees
	Env      []string    `json:"env"`
	UID      uint32      `json:"uid"`
	GID      uint32      `json:"gid"`
	IDs      []idMapping `json:"ids"` // which users of the machine those of the sandbox are
	Rlimits  []rlimit    `json:"rlimits"`
	Loopback bool        `json:"loopback"` // its network is gVisor's own, and leads nowhere; else this process's
	OOM      string      `json:"oom"`      // file that counts what the kernel has killed in the control group; "" if none
	OOMScore int         `json:"oom_score"`
	Debug    string      `json:"debug"` // directory for gVisor's logs; "" is none

	counter *os.File // OOM, once it has been read
}

// A tree is a mount that is nowhere yet (open_tree(2)), of a directory or a file.
type tree struct {
	Target   string `json:"target"` // "/" is the root itself
	File     bool   `json:"file"`
	Writable bool   `json:"writable"` // and seen apart from the root, whose files are taken not to change
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

// The descriptors besides the standard ones.
const (
	orderFD = 3 + iota
	treeFD
)

// How it ends, besides as the sandbox's first process did: its exit code, or 128 and the signal that ended it.
const (
	failed  = 250 // for a reason that it says on standard error
	cannot  = 251 // the machine cannot run gVisor, as it says there
	starved = 252 // the kernel of the machine killed what the sandbox is made of, for want of memory
	broken  = 253 // what the sandbox is made of ended otherwise
)

func readOrder() (*order, error) {
	f := os.NewFile(orderFD, "order")
	defer f.Close()
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	var o order
	if err := d.Decode(&o); err != nil {
		return nil, fmt.Errorf("the order: %w", err)
	}
	if o.Protocol != protocol {
		return nil, fmt.Errorf("it speaks version %d and sandtree version %d: build both from the same source, with `make build gvisor`", protocol, o.Protocol)
	}
	return &o, nil
}
