package stage

// Spec says what the jail looks like. It comes from outside of the jail, before anything else runs in it.
type Spec struct {
	Args     []string `json:"args,omitzero"` // command line of the server, without its name; empty: only try whether all works
	Hostname string   `json:"hostname,omitzero"`
	Root     *Mount   `json:"root,omitzero"`   // the root file system, under an overlay that can be written to if it is Writable, unless it is Ready; nil is an empty one
	Mounts   []Mount  `json:"mounts,omitzero"` // in this order, so that what is below another comes after it
	Files    []File   `json:"files,omitzero"`
	Links    []Link   `json:"links,omitzero"`
	Filter   []byte   `json:"filter,omitzero"` // seccomp: struct sock_filter, one after the other; empty is none
	// OpenFiles is how many descriptors a process may have at most; 0 leaves it.
	OpenFiles uint64 `json:"open_files,omitzero"`
	// Processes is how many processes and threads the jail's user may have; 0 leaves it. The server bounds each program that it
	// starts to fewer, a moment after it has begun.
	Processes uint64 `json:"processes,omitzero"`
	// OOMScore is added to what the kernel thinks of the processes when the machine is short of memory, 0 to 1000.
	OOMScore int `json:"oom_score,omitzero"`
	// Audit is the number of a descriptor that becomes the one by which the filter's questions are answered, since it asks some;
	// what it is before, a pipe, ends with that. 0 is a filter that asks nothing. See package audit of internal.
	Audit int `json:"audit,omitzero"`
	// Doors is the descriptor of a listening Unix socket, at which whoever connects is given the doors; 0 is none.
	Doors int `json:"doors,omitzero"`
}

// Kinds of mounts besides the zero one, which shows a part of the host.
const (
	Tmpfs     = "tmpfs"
	Proc      = "proc"
	Devices   = "devices"   // nodes that do no harm; it has the places of the next, and of what programs share
	Terminals = "terminals" // the jail's own
)

// Mount is one place in the jail.
type Mount struct {
	Kind   string `json:"kind,omitzero"`   // "" binds Source or FD
	Source string `json:"source,omitzero"` // path on the host
	// NoLinks refuses a Source with a link on the way.
	NoLinks bool   `json:"no_links,omitzero"`
	Within  string `json:"within,omitzero"` // path in the jail, of what was mounted before, instead of a Source
	// FD is the place, from 1 on, of a descriptor among those that come with the Spec, of a mount that whoever made the jail has
	// opened where the jail may not look; 0 is none. Once received, it is the descriptor. It is closed.
	FD       int    `json:"fd,omitzero"`
	Target   string `json:"target,omitzero"` // absolute; made if missing, for a file as a file
	Writable bool   `json:"writable,omitzero"`
	Optional bool   `json:"optional,omitzero"` // nothing is there if the source is not there
	Size     int64  `json:"size,omitzero"`     // bytes, of a tmpfs and of an overlay's upper; 0 is the kernel's default, half of the memory
	Files    int64  `json:"files,omitzero"`    // inodes, of the same
	Mode     uint32 `json:"mode,omitzero"`     // of a tmpfs; 0 is 0755
	// Overlay lays a tmpfs over the source: it can be written to, and nothing of it reaches the source or outlives the jail.
	Overlay bool `json:"overlay,omitzero"`
	// Ready says of the root that whoever made the jail has laid something over it already.
	Ready bool `json:"ready,omitzero"`
	// Whole says of the root that it is a copy of a Tree, in which nothing is to be changed.
	Whole bool `json:"whole,omitzero"`
}

// File is one with a content of its own.
type File struct {
	Path    string `json:"path,omitzero"`
	Content []byte `json:"content,omitzero"`
	Mode    uint32 `json:"mode,omitzero"` // 0 is 0644
}

// Link is a symbolic one.
type Link struct {
	Path   string `json:"path,omitzero"`
	Target string `json:"target,omitzero"`
}
