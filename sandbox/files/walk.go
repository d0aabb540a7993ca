package files

import (
	"context"
	"io/fs"
	"os"
	"strings"
)

// A selection says which of the names below a directory count. A name that does not takes all below it along.
type selection struct {
	top      *os.Root
	hidden   bool // also names that begin with a dot
	noIgnore bool // also what a .gitignore below the top names

	lists []ignoreList // of the directories on the way to the last name asked for, from the top
}

// has says whether name, a path from the top whose directories are selected, is selected. Names must come as walk gives them:
// each directory before what is in it, and all of that before what comes after.
func (s *selection) has(name string, isDir bool) bool {
	v := unnamed
	if !s.noIgnore {
		for len(s.lists) > 0 && !within(s.lists[len(s.lists)-1].dir, name) {
			s.lists = s.lists[:len(s.lists)-1]
		}
		for i := len(s.lists) - 1; i >= 0 && v == unnamed; i-- { // the nearest rules first
			v = s.lists[i].judge(name, isDir)
		}
	}
	if v == ignored || v == unnamed && !s.hidden && strings.HasPrefix(base(name), ".") {
		return false
	}
	if isDir {
		s.enter(name)
	}
	return true
}

// enter reads the rules of a directory that is selected.
func (s *selection) enter(dir string) {
	if s.noIgnore {
		return
	}
	if l := readIgnore(s.top, dir); len(l.rules) > 0 {
		s.lists = append(s.lists, l)
	}
}

func within(dir, name string) bool { return dir == "." || strings.HasPrefix(name, dir+"/") }

// walk visits what is selected below the top, in the order of the names of each directory. Links are visited, not followed;
// what cannot be read is passed over. depth is how many directories deep it goes, negative is all the way.
func (s *selection) walk(ctx context.Context, depth int, visit func(name string, e fs.DirEntry) error) error {
	s.enter(".")
	return fs.WalkDir(s.top.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if name == "." || e == nil {
			return nil
		}
		if err != nil {
			return fs.SkipDir // it has been visited, and cannot be read
		}
		if !s.has(name, e.IsDir()) {
			return skip(e)
		}
		if err := visit(name, e); err != nil {
			return err
		}
		if depth >= 0 && strings.Count(name, "/") >= depth {
			return skip(e)
		}
		return nil
	})
}

// skip passes over what is in e.
func skip(e fs.DirEntry) error {
	if e.IsDir() {
		return fs.SkipDir
	}
	return nil
}
