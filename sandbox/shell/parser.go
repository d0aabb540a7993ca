package shell

import "unicode/utf8"

// A parser takes a terminal's byte stream apart, whatever pieces it comes in: text, controls, and escape sequences
// after the state machine of the VT500 as xterm has it.
type parser struct {
	state   parserState
	partial [utf8.UTFMax]byte // beginning of a character whose rest has not come yet
	have    int
	params  [maxParams]int
	nparams int
	private byte // '?', '>', '=' or '<' after CSI
	inter   byte // the last intermediate byte
}

type parserState uint8

const (
	ground parserState = iota
	escape
	escapeInter // after ESC and an intermediate, as in ESC ( 0
	csi
	csiIgnore
	str       // in OSC, DCS, APC, PM or SOS: ends at ST or BEL
	strEscape // ESC inside such a string
)

const (
	maxParams = 16
	maxParam  = 1 << 16 // far outside any screen
)

func (p *parser) reset() { *p = parser{} }

// feed shows bytes on the screen.
func (s *screen) feed(b []byte) {
	for len(b) > 0 {
		if s.state != ground {
			b = s.sequence(b)
			continue
		}
		n := 0
		for n < len(b) && b[n] >= 0x20 && b[n] < 0x7f {
			n++
		}
		if n > 0 {
			if s.have > 0 {
				s.flushPartial()
			}
			s.ascii(b[:n])
			b = b[n:]
			continue
		}
		if b[0] >= utf8.RuneSelf {
			b = s.multibyte(b)
			continue
		}
		if s.have > 0 {
			s.flushPartial()
		}
		s.control(b[0])
		b = b[1:]
	}
}

// multibyte takes one character off the front of b, or keeps its beginning for later.
func (s *screen) multibyte(b []byte) []byte {
	if s.have == 0 && utf8.FullRune(b) {
		r, n := utf8.DecodeRune(b)
		s.character(r)
		return b[n:]
	}
	if s.have > 0 && utf8.RuneStart(b[0]) {
		s.flushPartial()
		return b
	}
	s.partial[s.have] = b[0]
	s.have++
	if p := s.partial[:s.have]; utf8.FullRune(p) {
		s.have = 0
		for len(p) > 0 {
			r, n := utf8.DecodeRune(p)
			s.character(r)
			p = p[n:]
		}
	}
	return b[1:]
}

// flushPartial shows that a character never got its rest: one sign for each byte of it, as for other bad bytes.
func (s *screen) flushPartial() {
	for ; s.have > 0; s.have-- {
		s.put(utf8.RuneError)
	}
}

func (s *screen) character(r rune) {
	if r >= 0x80 && r < 0xa0 { // C1 controls, which nobody sends in UTF-8
		return
	}
	s.put(r)
}

func (s *screen) control(c byte) {
	switch c {
	case 0x1b:
		s.state, s.inter = escape, 0
	case '\n', '\v', '\f':
		s.lineFeed()
	case '\r':
		s.x = 0
	case '\b':
		s.x = max(min(s.x, s.cols)-1, 0)
	case '\t':
		s.x = min((s.x/8+1)*8, s.cols-1)
	case 0x0e, 0x0f:
		s.shift = int(0x0f - c)
	}
}

// sequence takes bytes of an escape sequence off the front of b.
func (s *screen) sequence(b []byte) []byte {
	c := b[0]
	switch s.state {
	case str:
		for i, c := range b {
			switch c {
			case 0x1b:
				s.state = strEscape
				return b[i+1:]
			case 0x07, 0x18, 0x1a:
				s.state = ground
				return b[i+1:]
			}
		}
		return nil
	case strEscape:
		s.state = ground
		if c != '\\' { // no ST: a new sequence has begun
			s.state, s.inter = escape, 0
			return b
		}
		return b[1:]
	}
	switch {
	case c == 0x18 || c == 0x1a: // CAN, SUB
		s.state = ground
	case c < 0x20:
		s.control(c)
	case c >= 0x7f:
		if c > 0x7f {
			s.state = ground
			return b
		}
	case s.state == escape || s.state == escapeInter:
		s.escape(c)
	default:
		s.csi(c)
	}
	return b[1:]
}

func (s *screen) escape(c byte) {
	if c < 0x30 {
		s.state, s.inter = escapeInter, c
		return
	}
	if s.state == escapeInter {
		s.state = ground
		switch s.inter {
		case '(':
			s.graphics[0] = c == '0'
		case ')':
			s.graphics[1] = c == '0'
		}
		return
	}
	s.state = ground
	switch c {
	case '[':
		s.state, s.nparams, s.private, s.inter = csi, 0, 0, 0
		s.params = [maxParams]int{}
	case ']', 'P', 'X', '^', '_':
		s.state = str
	case '7':
		s.saved = s.cursor()
	case '8':
		s.restore(s.saved)
	case 'D':
		s.lineFeed()
	case 'E':
		s.x = 0
		s.lineFeed()
	case 'M':
		s.reverseLineFeed()
	case 'c': // full reset
		s.useAlt(false, false)
		s.eraseScreen(2)
		s.eraseScreen(3)
		s.moveTo(0, 0)
		s.top, s.bot = 0, s.rows-1
		s.origin, s.nowrap, s.insert, s.appKeys = false, false, false, false
		s.graphics, s.shift = [2]bool{}, 0
	}
}

// csi takes one byte of a control sequence.
func (s *screen) csi(c byte) {
	switch {
	case c >= 0x40:
		if s.state == csi {
			s.state = ground
			s.nparams++
			s.dispatch(c)
		}
		s.state = ground
	case c >= '0' && c <= '9':
		if p := &s.params[min(s.nparams, maxParams-1)]; s.nparams < maxParams {
			*p = min(*p*10+int(c-'0'), maxParam)
		}
	case c == ';' || c == ':':
		s.nparams = min(s.nparams+1, maxParams)
	case c >= '<' && c <= '?':
		s.private = c
	case c < 0x30:
		s.inter = c
	default:
		s.state = csiIgnore
	}
}
