package shell

import (
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A command that has ended this soon has run no program (a fork and an exec alone take longer), so it has installed none.
const noProgram = 500 * time.Microsecond

// An interpreterPath finds the python that a command would find, as `which python` does. The places to look at are kept
// while PATH stays the same; whether something is there is asked anew each time, since commands install things.
type interpreterPath struct {
	path, dir string
	places    []string
	found     *string   // the last answer, given again while it is the same
	asked     time.Time // when it was found out
}

// before is called when a command has been sent: it finds the python that was there before it, while the shell works.
func (i *interpreterPath) before() {
	if i.found != nil {
		i.find(i.path, i.dir)
	}
}

// after is the python that there is after that command.
func (i *interpreterPath) after(path, dir string) *string {
	if i.found != nil && path == i.path && dir == i.dir && time.Since(i.asked) < noProgram {
		return i.found
	}
	return i.find(path, dir)
}

// find looks for python in the directories of path; what is relative there is relative to dir. "" if there is none.
func (i *interpreterPath) find(path, dir string) *string {
	i.asked = time.Now()
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
