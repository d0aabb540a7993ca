package files

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	maxResponse = 16_000 // characters of a file or a listing that are shown at once

	fileClipped = "<response clipped><NOTE>Due to the max output limit, only part of this file has been shown to you. " +
		"You should retry this tool after you have searched inside the file with `grep -n` in order to find the line numbers of what you are looking for.</NOTE>"
	dirClipped = "<response clipped><NOTE>Due to the max output limit, only part of this directory has been shown to you. " +
		"You should use `ls -la` instead to view large directories incrementally.</NOTE>"
)

// view is the editor's view of a file or, up to two levels deep, a directory. lines is nil or the first and last line to
// show, from 1; a last of -1 is the end.
func (s *Store) view(p string, lines []int) (string, error) {
	fi, err := s.checkEdit("view", p)
	if err != nil {
		return "", err
	}
	if fi.IsDir() {
		if len(lines) > 0 {
			return "", badParameter("view_range", pythonList(lines), "The `view_range` parameter is not allowed when `path` points to a directory.")
		}
		return viewDir(p), nil
	}
	if slices.Contains(convertible, strings.ToLower(filepath.Ext(p))) {
		return "", refusef("Error in converting file to Markdown: no converter for %s files. Please use Python code to read %s", strings.ToLower(filepath.Ext(p)), p)
	}
	t, _, _, err := load(p)
	if err != nil {
		return "", err
	}
	if len(lines) == 0 {
		return numbered(t.lines, p, 1), nil
	}
	return viewRange(t.lines, p, lines)
}

func viewRange(s, p string, lines []int) (string, error) {
	invalid := func(hint string) (string, error) {
		return "", badParameter("view_range", pythonList(lines), hint)
	}
	if len(lines) != 2 {
		return invalid("It should be a list of two integers.")
	}
	n := countLines(s)
	first, last, note := lines[0], lines[1], ""
	if first < 1 || first > n {
		return invalid(fmt.Sprintf("Its first element `%d` should be within the range of lines of the file: %s.", first, pythonList([]int{1, n})))
	}
	if last > n {
		note = fmt.Sprintf("NOTE: We only show up to %d since there're only %d lines in this file.\n", n, n)
	}
	if last == -1 || last > n {
		last = n
	}
	if last < first {
		return invalid(fmt.Sprintf("Its second element `%d` should be greater than or equal to the first element `%d`.", last, first))
	}
	return note + numbered(strings.TrimSuffix(between(s, first-1, last), "\n"), p, first), nil
}

// numbered shows text with its line numbers, the first being number, as the output of "cat -n" on what is described.
// What comes after a newline at the end is one more line.
func numbered(text, described string, number int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Here's the result of running `cat -n` on %s:\n", described)
	for line := range strings.SplitSeq(clip(text, fileClipped), "\n") {
		fmt.Fprintf(&b, "%6d\t%s\n", number, line)
		number++
	}
	return b.String()
}

// clip cuts s after maxResponse characters and says so.
func clip(s, note string) string {
	n := 0
	for i := range s {
		if n == maxResponse {
			return s[:i] + note
		}
		n++
	}
	return s
}

// viewDir lists what lies in the directory p and in those in it, but for hidden entries.
func viewDir(p string) string {
	paths, hidden := visible(p)
	for _, sub := range slices.Clone(paths) {
		if isDir(sub) {
			deeper, _ := visible(sub)
			paths = append(paths, deeper...)
		}
	}
	paths = append(paths, p)
	slices.Sort(paths)
	listing := strings.Split(clip(strings.Join(paths, "\n"), dirClipped), "\n")
	for i, entry := range listing {
		if isDir(entry) && entry != "/" {
			listing[i] += "/"
		}
	}
	out := fmt.Sprintf("Here's the files and directories up to 2 levels deep in %s, excluding hidden items:\n%s", p, strings.Join(listing, "\n"))
	if hidden > 0 {
		out += fmt.Sprintf("\n\n%d hidden files/directories in this directory are excluded. You can use 'ls -la %s' to see them.", hidden, p)
	}
	return out
}

// visible are the entries of dir that are not hidden, and the number of those that are. What cannot be read has none.
func visible(dir string) (paths []string, hidden int) {
	for _, name := range names(dir) {
		if strings.HasPrefix(name, ".") {
			hidden++
		} else {
			paths = append(paths, strings.TrimSuffix(dir, "/")+"/"+name)
		}
	}
	return paths, hidden
}

func isDir(p string) bool {
	fi, err := os.Stat(p)
	return err == nil && fi.IsDir()
}
