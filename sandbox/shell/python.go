package shell

import (
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// An interpreterPath finds the python that a command would find, as `which python` does. The places to look at are kept
// while PATH stays the same; whether something is there is asked anew each time, since commands install things.
type interpreterPath struct {
	path, dir string
	places    []string
	found     *string // the last answer, given again while it is the same
}

// find looks for python in the directories of path; what is relative there is relative to dir. "" if there is none.
func (i *interpreterPath) find(path, dir string) *string {
	if path != i.path || dir != i.dir || i.places == nil {
		i.path, i.dir, i.places = path, dir, i.places[:0]
		for d := range strings.SplitSeq(path, ":") {
			if !filepath.IsAbs(d) {
				d = filepath.Join(dir, d)
			}
			i.places = append(i.places, filepath.Join(d, "python"))
		}
	}
	found := ""
	for _, p := range i.places {
		if executable(p) {
			found = p
			break
		}
	}
	if i.found == nil || *i.found != found {
		i.found = &found
	}
	return i.found
}

func executable(path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mode&0o111 != 0
}
