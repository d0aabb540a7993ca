package files

import (
	"cmp"
	"os"
	"slices"
	"strings"
)

// ListNames names the entries of a directory for the OpenHands list request: a nil path is the working directory, a
// relative one is below it, an absolute one taken as it is. Directories come first and end in '/', links are followed,
// dangling ones left out. It has no errors: what cannot be listed is empty, and never nil.
func (s *Store) ListNames(path *string) []string {
	dir := s.c.Dir
	if path != nil {
		dir = resolve(s.c.Dir, *path)
	}
	found := []string{}
	for _, name := range names(dir) {
		fi, err := os.Stat(dir + "/" + name)
		if err != nil {
			continue
		}
		if fi.IsDir() {
			name += "/"
		}
		found = append(found, name)
	}
	sortNames(found)
	return found
}

// List names the entries of a directory, directories (and links to such that stay inside) first and with a '/' at the
// end, each group in the order of their lower-cased names. Other entries are listed whatever they are.
// Codes: Invalid, Denied, NotFound.
func (s *Store) List(path string) ([]string, error) {
	root, rel, err := s.at("List", path)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	found, err := listIn(root, rel)
	if err != nil {
		return nil, fail("List", path, err)
	}
	return found, nil
}

func listIn(root *os.Root, rel string) ([]string, error) {
	dir, err := root.OpenFile(rel, openFlags|directoryFlag, 0)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	found, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	for i, name := range found {
		if fi, err := root.Stat(rel + "/" + name); err == nil && fi.IsDir() {
			found[i] += "/"
		}
	}
	sortNames(found)
	return found, nil
}

// names are the entries of dir in the order of the system; none if it cannot be read.
func names(dir string) []string {
	f, err := os.OpenFile(dir, openFlags|directoryFlag, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	found, err := f.Readdirnames(-1)
	if err != nil {
		return nil
	}
	return found
}

// sortNames puts directories before files, and orders each by lower-cased name; the system's order breaks ties.
func sortNames(found []string) {
	slices.SortStableFunc(found, func(a, b string) int {
		if x, y := strings.HasSuffix(a, "/"), strings.HasSuffix(b, "/"); x != y {
			if x {
				return -1
			}
			return 1
		}
		return cmp.Compare(strings.ToLower(a), strings.ToLower(b))
	})
}
