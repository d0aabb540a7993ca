package backends

import "strconv"

// Archived is a snapshot that is taken out, or in.
type Archived struct {
	Snapshot
	Root *ArchivedRoot // nil but for KindRooted
}

// ArchivedRoot is what was written over a root, in layers, of which RootPart(0) is the lowest.
type ArchivedRoot struct {
	Of     string `json:"of"`     // the root, as backends.NAME.root has it
	Layers int    `json:"layers"` // 1 to MostRootLayers
}

// MostRootLayers is how many layers a root can have: the kernel lays no more than 500 over each other.
const MostRootLayers = 400

// RootPart is what the directory with a layer of a root is called in an archive.
func RootPart(layer int) string { return "root." + strconv.Itoa(layer) }

// parts are the directories that the archive has.
func (a Archived) parts() (all []string) {
	for _, part := range a.Holds {
		if part != "root" || a.Root == nil {
			all = append(all, part)
		}
	}
	return append(all, a.layers()...)
}

// layers are those of them with layers of a root.
func (a Archived) layers() (all []string) {
	for i := 0; a.Root != nil && i < a.Root.Layers; i++ {
		all = append(all, RootPart(i))
	}
	return all
}

// The kinds of archives.
const (
	KindFiles  = "files"  // workspace and home, which any driver that shows directories can show
	KindRooted = "rooted" // these, and what was written over a root, in layers
	KindImage  = "image"  // these, and an image of an engine's
)

// The versions of archives.
const (
	archiveVersion       = 2
	archiveVersionRooted = 3
)

// versionOf is the one of a kind: only what an older program could not read is of a later one.
func versionOf(kind string) int {
	if kind == KindRooted {
		return archiveVersionRooted
	}
	return archiveVersion
}
