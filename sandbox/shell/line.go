package shell

import (
	"slices"
	"unicode/utf8"
)

// A line is one row of a grid. While all of it is ASCII, as nearly always, it is text, one byte to a column; the first
// other character turns it into cells, one rune to a column.
type line struct {
	text    []byte
	cells   []rune         // rightHalf follows a character that takes two columns
	marks   map[int]string // what combines with the character in a column; nil if nothing does
	wide    bool           // it is cells
	wrapped bool           // it goes on in the next row
}

const rightHalf rune = -1

const maxMarks = 32 // bytes of combining marks kept in one column: real text has two or three, jokes have hundreds

// reset makes the line empty and keeps its memory.
func (l *line) reset() {
	l.text, l.cells, l.marks = l.text[:0], l.cells[:0], nil
	l.wide, l.wrapped = false, false
}

// size is the number of columns that have been written.
func (l *line) size() int {
	if l.wide {
		return len(l.cells)
	}
	return len(l.text)
}

// length is the number of columns without trailing blanks.
func (l *line) length() (n int) {
	if l.wide {
		for n = len(l.cells); n > 0 && l.cells[n-1] == ' ' && l.marks[n-1] == ""; n-- {
		}
		return n
	}
	for n = len(l.text); n > 0 && l.text[n-1] == ' '; n-- {
	}
	return n
}

// write puts ASCII from column x on and reports whether the line looks different.
func (l *line) write(x int, p []byte) (changed bool) {
	if l.wide {
		for i, c := range p {
			changed = l.set(x+i, rune(c), 1) || changed
		}
		return changed
	}
	for len(l.text) < x {
		l.text = append(l.text, ' ')
	}
	over := min(len(l.text)-x, len(p))
	if over > 0 {
		changed = string(l.text[x:x+over]) != string(p[:over])
		copy(l.text[x:], p[:over])
	}
	l.text = append(l.text, p[over:]...)
	return changed || !blank(p[over:])
}

func blank(p []byte) bool {
	for _, c := range p {
		if c != ' ' {
			return false
		}
	}
	return true
}

// set puts a character of w columns at column x and reports whether the line looks different.
func (l *line) set(x int, r rune, w int) (changed bool) {
	if !l.wide {
		if r < utf8.RuneSelf {
			b := [1]byte{byte(r)}
			return l.write(x, b[:])
		}
		l.widen()
	}
	for len(l.cells) < x+w {
		l.cells = append(l.cells, ' ')
	}
	l.split(x)
	l.split(x + w)
	changed = l.cells[x] != r || l.marks[x] != ""
	l.cells[x] = r
	delete(l.marks, x)
	if w == 2 {
		l.cells[x+1] = rightHalf
		delete(l.marks, x+1)
	}
	return changed
}

// widen turns text into cells.
func (l *line) widen() {
	for _, c := range l.text {
		l.cells = append(l.cells, rune(c))
	}
	l.text, l.wide = l.text[:0], true
}

// split blanks a character that lies across the border before column x, for half of it is about to go.
func (l *line) split(x int) {
	if x > 0 && x < len(l.cells) && l.cells[x] == rightHalf {
		l.cells[x-1], l.cells[x] = ' ', ' '
		delete(l.marks, x-1)
	}
}

// combine adds a mark to the character in column x.
func (l *line) combine(x int, r rune) {
	if x < 0 || x >= l.size() {
		return
	}
	if !l.wide {
		l.widen()
	}
	if l.cells[x] == rightHalf {
		x--
	}
	if len(l.marks[x]) < maxMarks {
		if l.marks == nil {
			l.marks = map[int]string{}
		}
		l.marks[x] += string(r)
	}
}

// erase blanks the columns [from, to) and reports whether the line looks different.
func (l *line) erase(from, to int) (changed bool) {
	to = min(to, l.size())
	if from >= to {
		return false
	}
	if !l.wide {
		changed = !blank(l.text[from:to])
		if to == len(l.text) {
			l.text = l.text[:from]
			return changed
		}
		for i := from; i < to; i++ {
			l.text[i] = ' '
		}
		return changed
	}
	l.split(from)
	l.split(to)
	for i := from; i < to; i++ {
		changed = changed || l.cells[i] != ' ' || l.marks[i] != ""
		l.cells[i] = ' '
		delete(l.marks, i)
	}
	return changed
}

// insert makes room for n columns at x; what leaves the width of the screen is gone.
func (l *line) insert(x, n, cols int) {
	if x >= l.size() {
		return
	}
	n = min(n, cols-x)
	if !l.wide {
		l.text = append(l.text, make([]byte, n)...)
		copy(l.text[x+n:], l.text[x:])
		for i := range n {
			l.text[x+i] = ' '
		}
		l.text = l.text[:min(len(l.text), cols)]
		return
	}
	l.split(x)
	l.cells = append(l.cells, make([]rune, n)...)
	copy(l.cells[x+n:], l.cells[x:])
	for i := range n {
		l.cells[x+i] = ' '
	}
	l.split(cols)
	l.cells = l.cells[:min(len(l.cells), cols)]
	l.moveMarks(x, x, n)
}

// remove takes n columns out at x; the rest moves left.
func (l *line) remove(x, n int) {
	if x >= l.size() {
		return
	}
	n = min(n, l.size()-x)
	if !l.wide {
		l.text = slices.Delete(l.text, x, x+n)
		return
	}
	l.split(x)
	l.split(x + n)
	l.cells = slices.Delete(l.cells, x, x+n)
	l.moveMarks(x, x+n, -n)
}

// moveMarks moves the marks from column after on by n columns; those in [from, after) are gone.
func (l *line) moveMarks(from, after, n int) {
	if l.marks == nil {
		return
	}
	moved := make(map[int]string, len(l.marks))
	for x, m := range l.marks {
		if x < from {
			moved[x] = m
		} else if x >= after && x+n < len(l.cells) {
			moved[x+n] = m
		}
	}
	l.marks = moved
}

// appendText appends the line from column x on, without trailing blanks unless all is true.
func (l *line) appendText(dst []byte, x int, all bool) []byte {
	n := l.length()
	if all {
		n = l.size()
	}
	if x >= n {
		return dst
	}
	if !l.wide {
		return append(dst, l.text[x:n]...)
	}
	for i := x; i < n; i++ {
		if r := l.cells[i]; r != rightHalf {
			dst = utf8.AppendRune(dst, r)
		}
		if l.marks != nil {
			dst = append(dst, l.marks[i]...)
		}
	}
	return dst
}
