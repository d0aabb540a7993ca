package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/sandtree/sandtree/sandbox"
)

// A place is a directory that native paths may name things in, and that nothing leads out of.
type place struct {
	dir string // absolute and clean

	mu   sync.Mutex
	real string // dir with its links resolved when it was first opened; it may not change
}

// open opens the place for one operation: a root held for longer would outlive a directory that was made anew.
func (p *place) open() (*os.Root, string, error) {
	real, err := filepath.EvalSymlinks(p.dir)
	if err != nil {
		return nil, "", err
	}
	p.mu.Lock()
	if p.real == "" {
		p.real = real
	}
	moved := p.real != real
	p.mu.Unlock()
	if moved { // what runs in the sandbox has put a link in its place, to have the server look elsewhere
		return nil, "", &fs.PathError{Op: "open", Path: p.dir, Err: syscall.EACCES}
	}
	root, err := os.OpenRoot(real)
	return root, real, err
}

// at opens the place that path is in, and gives path's way from there without links, ready for root's methods. What it
// names need not exist. The caller closes root.
func (s *Store) at(op, path string) (root *os.Root, rel string, err error) {
	if err := checkPath(path); err != nil {
		return nil, "", refuse(sandbox.Invalid, op, path, "%w", err)
	}
	p, rest := s.place(tidy(path))
	if p == nil {
		return nil, "", refuse(sandbox.Denied, op, path, "lies in none of the directories that are open: %s", s.openDirs())
	}
	root, real, err := p.open()
	if err != nil {
		return nil, "", fail(op, path, err)
	}
	rel, err = follow(root, []string{p.dir, real}, rest)
	if err != nil {
		root.Close()
		if errors.Is(err, errOutside) {
			return nil, "", refuse(sandbox.Denied, op, path, "%w %s", err, p.dir)
		}
		return nil, "", fail(op, path, err)
	}
	return root, rel, nil
}

// place finds the innermost place that the tidy path p names something in, and the rest of p.
func (s *Store) place(p string) (best *place, rest string) {
	if !filepath.IsAbs(p) {
		return s.places[0], p
	}
	for _, q := range s.places {
		if r, ok := below(q.dir, p); ok && (best == nil || len(q.dir) > len(best.dir)) {
			best, rest = q, r
		}
	}
	return best, rest
}

func (s *Store) openDirs() string {
	var dirs []string
	for _, p := range s.places {
		dirs = append(dirs, p.dir)
	}
	return strings.Join(dirs, ", ")
}

// below is the way from dir to p, if p begins with dir.
func below(dir, p string) (string, bool) {
	if p == dir {
		return ".", true
	}
	return strings.CutPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}

var errOutside = errors.New("leads outside")

// follow takes the links out of the path p below root, whose own names are dirs: a link to an absolute path is followed
// if it comes back in. From the first name that does not exist, p is taken as it is. The answer is for root's methods,
// which check again; without them it would be no more than a guess.
func follow(root *os.Root, dirs []string, p string) (string, error) {
	todo := strings.Split(p, "/")
	var done []string
	for links := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			if len(done) == 0 {
				return "", errOutside
			}
			done = done[:len(done)-1]
			continue
		}
		here := strings.Join(append(done[:len(done):len(done)], name), "/")
		fi, err := root.Lstat(here)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if err != nil || fi.Mode().Type() != fs.ModeSymlink {
			done = append(done, name)
			continue
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "open", Path: p, Err: syscall.ELOOP}
		}
		to, fromTop, err := linkTarget(root, dirs, here)
		if err != nil {
			return "", err
		}
		if fromTop {
			done = nil
		}
		todo = append(to, todo...)
	}
	if len(done) == 0 {
		return ".", nil
	}
	return strings.Join(done, "/"), nil
}

// linkTarget is where the link here leads: names to go on with, from the top if the link is absolute and comes back in.
func linkTarget(root *os.Root, dirs []string, here string) (names []string, fromTop bool, err error) {
	to, err := root.Readlink(here)
	if err != nil || !filepath.IsAbs(to) {
		return strings.Split(to, "/"), false, err
	}
	for _, dir := range dirs {
		if rest, ok := below(dir, tidy(to)); ok {
			return strings.Split(rest, "/"), true, nil
		}
	}
	return nil, false, errOutside
}
