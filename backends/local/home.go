package local

import "github.com/sandtree/sandtree/backends/internal/homes"

// home is the directory of one sandbox, which has besides what every home has:
//
//	sock        its server's socket, unless the path would be too long
//	state/      its server's memory: what it has done already
//
// $HOME of its programs is elsewhere if the driver was given another.
type home struct{ homes.Home }

func (h home) stateDir() string { return h.Path("state") }

// label is what a home says of its sandbox.
type label struct {
	homes.Label
	Socket string `json:"socket"`
	Cgroup string `json:"cgroup,omitempty"`
}

// read gives the label. fs.ErrNotExist if there is no such sandbox.
func (h home) read() (l label, err error) {
	err = h.Read(&l)
	return l, err
}
