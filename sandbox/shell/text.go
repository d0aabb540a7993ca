package shell

// appendNew appends the text that has not been reported yet: rows joined where they wrapped, without trailing blanks,
// separated by newlines. It reports how many lines that is.
func (s *screen) appendNew(dst []byte) (text []byte, lines int) {
	if s.g == &s.alt {
		if !s.altNew {
			return dst, 0
		}
		return s.alt.appendText(dst, place{line: s.alt.first})
	}
	from := s.marked
	if s.dirty >= 0 {
		from = place{line: s.dirty}
	}
	if from.line < s.main.first {
		from = place{line: s.main.first}
	}
	return s.main.appendText(dst, from)
}

// mark says that all there is has been reported.
func (s *screen) mark() {
	s.altNew = false
	s.dirty = -1
	if s.g == &s.alt {
		return
	}
	g := &s.main
	n := g.first + g.count - 1
	for n > g.first && g.at(n).length() == 0 {
		n--
	}
	s.marked = place{line: g.first}
	if n >= g.first {
		s.marked = place{n, g.at(n).length()}
	}
}

func (g *grid) appendText(dst []byte, from place) ([]byte, int) {
	end := g.first + g.count
	for end > from.line && g.at(end-1).length() == 0 {
		end--
	}
	lines := 0
	for n := from.line; n < end; n++ {
		l := g.at(n)
		more := l.wrapped && n+1 < end
		dst = l.appendText(dst, from.col, more)
		from.col = 0
		if !more {
			lines++
			if n+1 < end {
				dst = append(dst, '\n')
			}
		}
	}
	return dst, lines
}
