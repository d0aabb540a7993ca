package audit

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/sandbox"
)

// What is looked at of a tree that strangers have made.
const (
	MaxFiles  = 50_000
	maxDepth  = 64
	maxLook   = 5 * time.Second
	maxNames  = 16 << 20 // bytes of all paths
	maxTold   = 64 << 10 // bytes of the paths of one list of changes
	maxListed = 1024     // entries that are read of a directory at a time
)

// stamp is what a change of a file changes.
type stamp struct {
	mode            uint32
	size            int64
	written, rights unix.Timespec
}

// A Tree is what a directory had in it at a time.
type Tree struct {
	files map[string]stamp
	// Whole says that it is all there was; else there were too many files, or they were too deep, or it took too long.
	Whole bool
}

// Look looks at what is in a directory. Nothing in it is opened but directories, and no link is followed.
func Look(dir string) (Tree, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Tree{}, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	l := look{Tree: Tree{files: map[string]stamp{}, Whole: true}, until: time.Now().Add(maxLook)}
	l.in(os.NewFile(uintptr(fd), dir), "", 0)
	return l.Tree, nil
}

type look struct {
	Tree
	until time.Time
	names int  // bytes of paths
	full  bool // no more is looked at
}

// in looks at a directory, which it closes.
func (l *look) in(d *os.File, path string, depth int) {
	defer d.Close()
	for {
		names, err := d.Readdirnames(maxListed)
		for _, name := range names {
			if l.full = l.full || len(l.files) >= MaxFiles || l.names > maxNames || time.Now().After(l.until); l.full {
				l.Whole = false
				return
			}
			l.at(int(d.Fd()), name, path+name, depth)
		}
		if err != nil {
			l.Whole = l.Whole && errors.Is(err, io.EOF)
			return
		}
		if l.full {
			return
		}
	}
}

func (l *look) at(dir int, name, path string, depth int) {
	var s unix.Stat_t
	if unix.Fstatat(dir, name, &s, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return // gone since
	}
	l.names += len(path)
	st := stamp{s.Mode, s.Size, s.Mtim, s.Ctim}
	if s.Mode&unix.S_IFMT != unix.S_IFDIR {
		l.files[path] = st
		return
	}
	// What has changed in a directory is told of itself.
	st.size, st.written, st.rights = 0, unix.Timespec{}, unix.Timespec{}
	l.files[path] = st
	if depth+1 >= maxDepth {
		l.Whole = false
		return
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	l.in(os.NewFile(uintptr(fd), name), path+"/", depth+1)
}

// Changes are how after differs from t, by path; most of them at most, and how many more there are. Of a tree that was not
// looked at wholly it is not said what was removed from it or, if that is t, added.
func (t Tree) Changes(after Tree, most int) (list []sandbox.FileChange, more int) {
	add := func(path string, c sandbox.FileChangeKind) {
		list = append(list, sandbox.FileChange{Path: path, Change: c})
	}
	for path, s := range after.files {
		if old, ok := t.files[path]; !ok && t.Whole {
			add(path, sandbox.FileAdded)
		} else if ok && old != s {
			add(path, sandbox.FileModified)
		}
	}
	if after.Whole {
		for path := range t.files {
			if _, ok := after.files[path]; !ok {
				add(path, sandbox.FileRemoved)
			}
		}
	}
	slices.SortFunc(list, func(a, b sandbox.FileChange) int { return strings.Compare(a.Path, b.Path) })
	bytes := 0
	for i, c := range list {
		if bytes += len(c.Path); bytes > maxTold {
			most = min(most, i)
			break
		}
	}
	if len(list) > most {
		list, more = list[:most], len(list)-most
	}
	return list, more
}

// Len is how many files and directories there are.
func (t Tree) Len() int { return len(t.files) }
