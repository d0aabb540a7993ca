package shell

import (
	"slices"
	"unicode/utf8"
)

// A line is one row of a grid. While all of it is ASCII, as nearly always, it is text, one byte to a column; the first
// other character turns it into cells.
type line struct {
	text    []byte
	cells   []cell // in use if not nil
	wrapped bool   // goes on in the next row
}

// A cell is one column: its character, 0 for the right half of a wide one, and marks that combine with it.
type cell struct {
	r     rune
	marks string
}

const maxMarks = 32 // bytes of combining marks kept in one cell: real text has two or three, jokes have hundreds

func (l *line) reset() {
	l.text = l.text[:0]
	l.cells = nil
	l.wrapped = false
}

// size is the number of columns that have been written.
func (l *line) size() int {
	if l.cells != nil {
		return len(l.cells)
	}
	return len(l.text)
}

// length is the number of columns without trailing blanks.
func (l *line) length() int {
	if l.cells == nil {
		n := len(l.text)
		for n > 0 && l.text[n-1] == ' ' {
			n--
		}
		return n
	}
	n := len(l.cells)
	for n > 0 && l.cells[n-1] == (cell{r: ' '}) {
		n--
	}
	return n
}

// write puts ASCII from column x on and reports whether the line looks different.
func (l *line) write(x int, p []byte) (changed bool) {
	if l.cells != nil {
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
	if l.cells == nil {
		if r < utf8.RuneSelf {
			b := [1]byte{byte(r)}
			return l.write(x, b[:])
		}
		l.widen()
	}
	l.extend(x + w)
	l.split(x)
	l.split(x + w)
	changed = l.cells[x] != (cell{r: r})
	l.cells[x] = cell{r: r}
	if w == 2 {
		l.cells[x+1] = cell{}
	}
	return changed
}

// widen turns text into cells.
func (l *line) widen() {
	l.cells = make([]cell, len(l.text), len(l.text)+16)
	for i, c := range l.text {
		l.cells[i].r = rune(c)
	}
	l.text = l.text[:0]
}

func (l *line) extend(n int) {
	for len(l.cells) < n {
		l.cells = append(l.cells, cell{r: ' '})
	}
}

// split blanks a wide character that lies across the border before column x: half of it is about to go.
func (l *line) split(x int) {
	if x > 0 && x < len(l.cells) && l.cells[x].r == 0 {
		l.cells[x-1], l.cells[x] = cell{r: ' '}, cell{r: ' '}
	}
}

// combine adds a mark to the character in column x.
func (l *line) combine(x int, r rune) {
	if x < 0 || x >= l.size() {
		return
	}
	if l.cells == nil {
		l.widen()
	}
	if l.cells[x].r == 0 && x > 0 {
		x--
	}
	if c := &l.cells[x]; len(c.marks) < maxMarks {
		c.marks += string(r)
	}
}

// erase blanks the columns [from, to) and reports whether the line looks different.
func (l *line) erase(from, to int) (changed bool) {
	to = min(to, l.size())
	if from >= to {
		return false
	}
	if l.cells == nil {
		changed = !blank(l.text[from:to])
		if to == len(l.text) {
			l.text = l.text[:from]
		} else {
			for i := from; i < to; i++ {
				l.text[i] = ' '
			}
		}
		return changed
	}
	l.split(from)
	l.split(to)
	for i := from; i < to; i++ {
		changed = changed || l.cells[i] != cell{r: ' '}
		l.cells[i] = cell{r: ' '}
	}
	return changed
}

// insert makes room for n columns at x; what leaves the width of the screen is gone.
func (l *line) insert(x, n, cols int) {
	if x >= l.size() {
		return
	}
	n = min(n, cols-x)
	if l.cells == nil {
		l.text = slices.Insert(l.text, x, spaces[:n]...)
		l.text = l.text[:min(len(l.text), cols)]
		return
	}
	l.split(x)
	for range n {
		l.cells = slices.Insert(l.cells, x, cell{r: ' '})
	}
	l.split(cols)
	l.cells = l.cells[:min(len(l.cells), cols)]
}

// remove takes n columns out at x; the rest moves left.
func (l *line) remove(x, n int) {
	if x >= l.size() {
		return
	}
	n = min(n, l.size()-x)
	if l.cells == nil {
		l.text = slices.Delete(l.text, x, x+n)
		return
	}
	l.split(x)
	l.split(x + n)
	l.cells = slices.Delete(l.cells, x, x+n)
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
	if l.cells == nil {
		return append(dst, l.text[x:n]...)
	}
	for _, c := range l.cells[x:n] {
		if c.r != 0 {
			dst = utf8.AppendRune(dst, c.r)
		}
		dst = append(dst, c.marks...)
	}
	return dst
}

var spaces = func() (b [defaultCols]byte) {
	for i := range b {
		b[i] = ' '
	}
	return b
}()
