package plain

import (
	"bufio"
	"io"
	"strings"
	"unicode/utf8"
)

// A Style is how a cell looks where colour is wanted: the parameters of an SGR sequence (ECMA-48).
type Style string

// Styles. They read on light and dark, since they are the terminal's own colours.
const (
	Bold   Style = "1"
	Dim    Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
)

// A Cell is a text in a column.
type Cell struct {
	Text  string
	Style Style // "" is none
}

// A Table is rows of cells in columns as wide as their widest cell. Columns are set flush right, as numbers are, but for the
// first Left ones.
type Table struct {
	Left   int
	Colour bool

	rows  []row
	width []int // characters of each column
}

type row struct {
	cells []Cell
	line  bool // of text, which does not widen any column
}

// Row adds a row. An empty row is a blank line.
func (t *Table) Row(cells ...Cell) {
	for i, c := range cells {
		if i == len(t.width) {
			t.width = append(t.width, 0)
		}
		t.width[i] = max(t.width[i], utf8.RuneCountInString(c.Text))
	}
	t.rows = append(t.rows, row{cells: cells})
}

// Line adds a line of text below the last row, which is not set in columns.
func (t *Table) Line(c Cell) { t.rows = append(t.rows, row{cells: []Cell{c}, line: true}) }

// WriteTo writes the table. Lines have no blanks at their ends.
func (t *Table) WriteTo(w io.Writer) (int64, error) {
	b := bufio.NewWriter(w)
	var n int64
	for _, r := range t.rows {
		line := t.format(r) + "\n"
		n += int64(len(line))
		_, _ = b.WriteString(line) // the error stays until Flush
	}
	return n, b.Flush()
}

func (t *Table) format(r row) string {
	var b strings.Builder
	owed := 0 // blanks, written only if something follows
	for i, c := range r.cells {
		blanks := t.width0(i) - utf8.RuneCountInString(c.Text)
		if r.line {
			blanks = 0
		}
		before, after := 0, blanks
		if i >= t.Left {
			before, after = blanks, 0
		}
		if i > 0 {
			owed += 2
		}
		owed += before
		if c.Text != "" {
			b.WriteString(strings.Repeat(" ", owed))
			b.WriteString(Paint(t.Colour, c.Style, c.Text))
			owed = 0
		}
		owed += after
	}
	return b.String()
}

func (t *Table) width0(i int) int {
	if i < len(t.width) {
		return t.width[i]
	}
	return 0
}

// Paint puts a style around a text, if colour is wanted.
func Paint(colour bool, s Style, text string) string {
	if !colour || s == "" || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}
