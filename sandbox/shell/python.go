package shell

import (
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// A command that has ended this soon has run no program (a fork and an exec alone take longer), so it has installed
	// none.
	noProgram = 500 * time.Microsecond
	// After such a command an answer is given again while it is this young: something else may install things too.
	fresh = 100 * time.Millisecond
	// After any command of a lasting one, while it is this young.
	lastingFresh = time.Second
)

// An interpreterPath finds the python that a command would find, as `which python` does. The places to look at are kept
// while PATH stays the same; whether something is there is asked anew each time, since commands install things.
type interpreterPath struct {
	path, dir string
	places    []string
	lasting   bool      // an answer is given again for longer, whatever has run: for speed
	found     *string   // the last answer, given again while it is the same
	asked     time.Time // when it was found out
}

// after is the python that there is after a command that took this long.
func (i *interpreterPath) after(took time.Duration, path, dir string) *string {
	limit := fresh
	switch {
	case i.lasting:
		limit = lastingFresh
	case took >= noProgram:
		limit = 0
	}
	if i.found != nil && path == i.path && dir == i.dir && time.Since(i.asked) < limit {
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
