package shell

import "strconv"

// param is parameter i of the control sequence, or def where it is absent or 0.
func (s *screen) param(i, def int) int {
	if i < min(s.nparams, maxParams) && s.params[i] != 0 {
		return s.params[i]
	}
	return def
}

// dispatch performs the control sequence that ends in c.
func (s *screen) dispatch(c byte) {
	if s.inter != 0 {
		return
	}
	switch s.private {
	case '?':
		if c == 'h' || c == 'l' {
			for i := range min(s.nparams, maxParams) {
				s.privateMode(s.params[i], c == 'h')
			}
		}
		return
	case 0:
	default:
		if s.private == '>' && c == 'c' {
			s.answer("\x1b[>41;354;0c")
		}
		return
	}
	n := s.param(0, 1)
	if s.cursorSequence(c, n) || s.editSequence(c, n) {
		return
	}
	switch c {
	case 'r':
		s.setRegion()
	case 's':
		s.saved = s.cursor()
	case 'u':
		s.restore(s.saved)
	case 'h', 'l':
		for i := range min(s.nparams, maxParams) {
			if s.params[i] == 4 {
				s.insert = c == 'h'
			}
		}
	case 'n':
		switch s.param(0, 0) {
		case 5:
			s.answer("\x1b[0n")
		case 6:
			s.answer("\x1b[" + strconv.Itoa(s.y+1) + ";" + strconv.Itoa(min(s.x, s.cols-1)+1) + "R")
		}
	case 'c':
		s.answer("\x1b[?62;22c")
	}
}

// cursorSequence performs the sequences that move the cursor; n is the first parameter, at least 1.
func (s *screen) cursorSequence(c byte, n int) bool {
	x, y := min(s.x, s.cols-1), s.y
	switch c {
	case 'A':
		s.moveTo(x, max(y-n, s.limit(y >= s.top, s.top, 0)))
	case 'B', 'e':
		s.moveTo(x, min(y+n, s.limit(y <= s.bot, s.bot, s.rows-1)))
	case 'C', 'a':
		s.moveTo(x+n, y)
	case 'D':
		s.moveTo(x-n, y)
	case 'E':
		s.moveTo(0, y+n)
	case 'F':
		s.moveTo(0, y-n)
	case 'G', '`':
		s.moveTo(n-1, y)
	case 'd':
		s.moveTo(x, s.fromOrigin(n-1))
	case 'H', 'f':
		s.moveTo(s.param(1, 1)-1, s.fromOrigin(n-1))
	case 'I':
		s.moveTo((x/8+n)*8, y)
	case 'Z':
		s.moveTo((x+7)/8*8-n*8, y)
	default:
		return false
	}
	return true
}

func (s *screen) limit(inside bool, edge, screenEdge int) int {
	if inside {
		return edge
	}
	return screenEdge
}

func (s *screen) fromOrigin(y int) int {
	if s.origin {
		return min(s.top+y, s.bot)
	}
	return y
}

// editSequence performs the sequences that change what is shown; n is the first parameter, at least 1.
func (s *screen) editSequence(c byte, n int) bool {
	x := min(s.x, s.cols-1)
	switch c {
	case 'J':
		s.eraseScreen(s.param(0, 0))
	case 'K':
		switch s.param(0, 0) {
		case 0:
			s.eraseLine(s.y, x, s.cols)
		case 1:
			s.eraseLine(s.y, 0, x+1)
		case 2:
			s.eraseLine(s.y, 0, s.cols)
		}
	case 'X':
		s.eraseLine(s.y, x, min(x+n, s.cols))
	case 'P':
		s.line(s.y).remove(x, n)
		s.touch(x, s.y)
	case '@':
		s.line(s.y).insert(x, n, s.cols)
		s.touch(x, s.y)
	case 'L':
		if s.y >= s.top && s.y <= s.bot {
			s.scrollDown(s.y, n)
			s.x = 0
		}
	case 'M':
		if s.y >= s.top && s.y <= s.bot {
			s.deleteLines(s.y, n)
			s.x = 0
		}
	case 'S':
		s.scrollUp(n)
	case 'T':
		s.scrollDown(s.top, n)
	case 'b':
		if s.last != 0 {
			for range min(n, s.cols) {
				s.put(s.last)
			}
		}
	default:
		return false
	}
	return true
}

// setRegion is DECSTBM.
func (s *screen) setRegion() {
	top, bot := s.param(0, 1)-1, min(s.param(1, s.rows), s.rows)-1
	if top >= bot {
		return
	}
	s.top, s.bot = top, bot
	s.moveTo(0, s.fromOrigin(0))
}

func (s *screen) privateMode(mode int, on bool) {
	switch mode {
	case 1:
		s.appKeys = on
	case 6:
		s.origin = on
		s.moveTo(0, s.fromOrigin(0))
	case 7:
		s.nowrap = !on
	case 47, 1047:
		s.useAlt(on, false)
	case 1048:
		if on {
			s.saved = s.cursor()
		} else {
			s.restore(s.saved)
		}
	case 1049:
		s.useAlt(on, true)
	}
}

func (s *screen) answer(a string) {
	if s.reply != nil {
		s.reply([]byte(a))
	}
}
