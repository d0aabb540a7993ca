package shell

// A screen is the picture that a terminal of cols × rows would show after the bytes fed so far, with the lines that
// have scrolled off its top. It keeps at most a fixed number of lines, so its memory is bounded whatever is printed.
//
// Lines have absolute numbers, from 0 at the last reset. The screen remembers how far its text has been reported
// (mark), and the first reported line that has changed since, so that an answer can bring only what is new.
type screen struct {
	parser
	cols, rows int

	main, alt grid
	g         *grid // the one in use
	x, y      int   // cursor; x == cols means that the next character wraps first
	saved     cursor
	mainSaved cursor // of the main grid while the alternate one is in use
	top, bot  int    // scroll region, rows, both inclusive
	origin    bool   // rows count from the region's top
	nowrap    bool
	insert    bool
	appKeys   bool // cursor keys send ESC O rather than ESC [
	last      rune // for REP
	graphics  [2]bool
	shift     int // which of G0 and G1 is in use

	changed bool  // something visible changed since the flag was cleared
	altNew  bool  // the alternate grid changed since it was reported
	lost    bool  // lines have gone for ever: history overflowed or was cleared
	marked  place // reported up to here
	dirty   int   // the first line before marked that changed since; -1 if none

	reply func([]byte) // answers of the terminal to queries; may be nil
}

type cursor struct {
	x, y   int
	origin bool
	g      [2]bool
	shift  int
}

// A place is a column of an absolute line.
type place struct{ line, col int }

func newScreen(cols, rows, history int) *screen {
	s := &screen{cols: cols, rows: rows}
	s.main.keep = max(history, rows)
	s.alt.keep = rows
	s.reset()
	return s
}

// reset makes the screen as new; its memory beyond one chunk of lines is given back.
func (s *screen) reset() {
	s.main.clear()
	if s.g == &s.alt || s.alt.count > 0 {
		s.alt.clear()
	}
	s.parser.reset()
	s.g, s.x, s.y = &s.main, 0, 0
	s.saved, s.mainSaved = cursor{}, cursor{}
	s.top, s.bot = 0, s.rows-1
	s.origin, s.nowrap, s.insert, s.appKeys = false, false, false, false
	s.graphics, s.shift, s.last = [2]bool{}, 0, 0
	s.changed, s.altNew, s.lost = false, false, false
	s.marked, s.dirty = place{}, -1
}

// touch notes that column x of row y looks different now.
func (s *screen) touch(x, y int) {
	s.changed = true
	if s.g == &s.alt {
		s.altNew = true
		return
	}
	n := s.g.top + y
	if n < s.marked.line || n == s.marked.line && x < s.marked.col {
		if s.dirty < 0 || n < s.dirty {
			s.dirty = n
		}
	}
}

// line is row y of the screen, made if it was not there yet.
func (s *screen) line(y int) *line {
	if s.g.ensure(s.g.top + y) {
		s.lost = true
	}
	return s.g.at(s.g.top + y)
}

// ascii writes printable ASCII at the cursor.
func (s *screen) ascii(p []byte) {
	if s.graphics[s.shift] || s.insert {
		for _, c := range p {
			s.put(rune(c))
		}
		return
	}
	s.last = rune(p[len(p)-1])
	for len(p) > 0 {
		if s.x >= s.cols {
			s.wrap()
		}
		n := min(len(p), s.cols-s.x)
		if s.line(s.y).write(s.x, p[:n]) {
			s.touch(s.x, s.y)
		}
		s.x += n
		p = p[n:]
	}
}

// put writes one character at the cursor.
func (s *screen) put(r rune) {
	if s.graphics[s.shift] {
		r = lineDrawing(r)
	}
	w := width(r)
	if w == 0 {
		s.line(s.y).combine(s.x-1, r)
		s.touch(s.x-1, s.y)
		return
	}
	s.last = r
	if s.x+w > s.cols {
		s.wrap()
	}
	l := s.line(s.y)
	if s.insert {
		l.insert(s.x, w, s.cols)
	}
	if l.set(s.x, r, w) {
		s.touch(s.x, s.y)
	}
	s.x += w
}

// wrap goes on in the next line because this one is full.
func (s *screen) wrap() {
	if s.nowrap {
		s.x = s.cols - 1
		return
	}
	s.line(s.y).wrapped = true
	s.x = 0
	s.lineFeed()
}

func (s *screen) lineFeed() {
	switch {
	case s.y == s.bot:
		s.scrollUp(1)
	case s.y < s.rows-1:
		s.y++
	}
}

func (s *screen) reverseLineFeed() {
	switch {
	case s.y == s.top:
		s.scrollDown(s.top, 1)
	case s.y > 0:
		s.y--
	}
}

// scrollUp moves the region's lines up by n; on the main grid, with the whole screen as the region, into history.
func (s *screen) scrollUp(n int) {
	if s.g == &s.main && s.top == 0 && s.bot == s.rows-1 {
		for range min(n, s.rows) {
			s.g.top++
			if s.g.ensure(s.g.top + s.rows - 1) {
				s.lost = true
			}
		}
		return
	}
	s.deleteLines(s.top, n)
}

// deleteLines takes n lines out at row y of the region; those below move up.
func (s *screen) deleteLines(y, n int) {
	s.region(y)
	for range min(n, s.bot-y+1) {
		s.g.rotate(s.g.top+y, s.g.top+s.bot, true)
	}
}

// scrollDown moves the lines from row y to the region's end down by n.
func (s *screen) scrollDown(y, n int) {
	s.region(y)
	for range min(n, s.bot-y+1) {
		s.g.rotate(s.g.top+y, s.g.top+s.bot, false)
	}
}

// region makes all lines from row y to the region's end exist, for they are about to change.
func (s *screen) region(y int) {
	s.line(s.bot)
	s.touch(0, y)
}

// eraseLine blanks the columns [from, to) of row y.
func (s *screen) eraseLine(y, from, to int) {
	if !s.g.has(s.g.top + y) {
		return
	}
	l := s.g.at(s.g.top + y)
	if l.erase(from, to) {
		s.touch(from, y)
	}
	if to >= s.cols {
		l.wrapped = false
	}
}

// eraseScreen is ED: 0 from the cursor, 1 up to it, 2 all, 3 the history.
func (s *screen) eraseScreen(mode int) {
	x := min(s.x, s.cols-1)
	switch {
	case mode == 3:
		if s.g == &s.main && s.main.dropAbove() {
			s.lost, s.changed = true, true
		}
	case s.g == &s.main && (mode == 2 || mode == 0 && x == 0 && s.y == 0):
		// As tmux does: what is cleared goes to history, so that nothing printed gets lost.
		s.main.trim()
		if end := s.main.first + s.main.count; end > s.main.top {
			s.main.top = end
			s.changed = true
		}
	case mode == 1:
		for y := range s.y {
			s.eraseLine(y, 0, s.cols)
		}
		s.eraseLine(s.y, 0, x+1)
	default:
		from := s.y + 1
		if mode == 2 {
			from = 0
		} else {
			s.eraseLine(s.y, x, s.cols)
		}
		for y := from; y < s.rows && s.g.has(s.g.top+y); y++ {
			s.eraseLine(y, 0, s.cols)
		}
	}
}

// useAlt changes to the alternate grid or back.
func (s *screen) useAlt(on, saveCursor bool) {
	if on == (s.g == &s.alt) {
		return
	}
	s.changed, s.altNew = true, true
	if on {
		if saveCursor {
			s.mainSaved = s.cursor()
		}
		s.alt.clear()
		s.g = &s.alt
		return
	}
	s.g = &s.main
	s.top, s.bot = 0, s.rows-1
	if saveCursor {
		s.restore(s.mainSaved)
	}
}

func (s *screen) cursor() cursor {
	return cursor{min(s.x, s.cols-1), s.y, s.origin, s.graphics, s.shift}
}

func (s *screen) restore(c cursor) {
	s.x, s.y, s.origin, s.graphics, s.shift = c.x, c.y, c.origin, c.g, c.shift
}

// moveTo puts the cursor at column x of row y, kept inside the screen.
func (s *screen) moveTo(x, y int) {
	s.x = min(max(x, 0), s.cols-1)
	s.y = min(max(y, 0), s.rows-1)
}

// freshLine moves to the beginning of a line, if the cursor is not at one.
func (s *screen) freshLine() {
	if s.g == &s.main && s.x > 0 {
		s.x = 0
		s.lineFeed()
	}
}
