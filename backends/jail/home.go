package jail

import (
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/sandbox"
)

// home is the directory of one sandbox, which has besides what every home has:
//
//	sock        its server's socket, made by us and handed down, as the next: nothing in the jail can reach them by name
//	doors       where its first process gives the sockets through which its programs get out
//	audit       where its keeper tells what its programs do, if that is asked for (see keeper.go)
//	audit.state what that leaves to the next; locked while there is one
//	audit.exit  how that ended
//	state/      its server's memory: what it has done already
//	root/       what its programs have written over the root, if they may and that is kept; with rootwork/ and under/
//	disk        a file system with state, home and workspace, instead of them
//
// Where there has been a snapshot, or it began with one, home and workspace are in layers instead (see layer).
//
// The jail sees these and nothing else of it. What stands in those is a stranger's: it is removed, never read.
type home struct{ homes.Home }

func (h home) stateDir() string  { return h.Path("state") }
func (h home) imageFile() string { return h.Path("disk") }

// label is what a home says of its sandbox.
type label struct {
	homes.Label
	Audit    sandbox.Audit `json:"audit,omitzero"`
	Imaged   bool          `json:"imaged,omitempty"` // its files are in an image, of DiskSize bytes
	DiskSize int64         `json:"disk_size,omitempty"`
	InMemory bool          `json:"in_memory,omitempty"` // and the image in the memory of its server's life
	Layers   []string      `json:"layers,omitempty"`    // of its home and workspace, the uppermost first; none: they are in the home
	Root     []string      `json:"root,omitempty"`      // the same, of what was written over its root
	Pending  *swap         `json:"pending,omitempty"`   // that is under way
}

// read gives the label. fs.ErrNotExist if there is no such sandbox.
func (h home) read() (l label, err error) {
	err = h.Read(&l)
	return l, err
}

func (h home) write(l label) error { return h.Write(&l) }
