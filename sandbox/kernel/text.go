package kernel

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A page is what is left on paper of the text that a cell prints: carriage returns, backspaces and the erasing of lines do
// as on a terminal, so that a progress bar is one line; colours and other escape sequences leave nothing. Its memory is
// bounded. The zero page is empty.
type page struct {
	lines clipped
	line  []rune // the one not ended
	at    int    // where in it the next rune goes
	state byte   // within an escape sequence: ESC, '[' or ']'; 0 outside
	param []byte // of a control sequence
}

const (
	esc     = '\x1b'
	maxLine = 64 << 10 // runes of a line that can still be changed
)

// write prints s. It may end within an escape sequence, not within a rune.
func (p *page) write(s string) {
	if p.state == 0 && p.at == len(p.line) && !strings.ContainsAny(s, "\r\b\x1b") {
		p.plain(s)
		return
	}
	for _, r := range s {
		if p.state != 0 {
			p.escape(r)
			continue
		}
		switch r {
		case esc:
			p.state = esc
		case '\r':
			p.at = 0
		case '\b':
			p.at = max(p.at-1, 0)
		case '\n':
			p.end()
		default:
			p.put(r)
		}
	}
}

// plain prints what only goes forward, at the end of the line.
func (p *page) plain(s string) {
	if i := strings.LastIndexByte(s, '\n'); i >= 0 {
		p.lines.write(string(p.line))
		p.lines.write(s[:i+1])
		p.line = p.line[:0]
		s = s[i+1:]
	}
	if len(s) > maxLine {
		p.lines.write(string(p.line))
		p.lines.write(s)
		p.line = p.line[:0]
		s = ""
	}
	p.line = append(p.line, []rune(s)...)
	if p.at = len(p.line); p.at > maxLine {
		p.spill()
	}
}

func (p *page) put(r rune) {
	if p.at < len(p.line) {
		p.line[p.at] = r
	} else {
		p.line = append(p.line, r)
	}
	if p.at++; p.at > maxLine {
		p.spill()
	}
}

// spill gives up changing what stands before the cursor.
func (p *page) spill() {
	p.lines.write(string(p.line[:p.at]))
	p.line = append(p.line[:0], p.line[p.at:]...)
	p.at = 0
}

func (p *page) end() {
	p.lines.write(string(p.line))
	p.lines.write("\n")
	p.line, p.at = p.line[:0], 0
}

// escape takes a rune of an escape sequence (ECMA-48): those that erase in the line are obeyed, the others left out.
func (p *page) escape(r rune) {
	switch {
	case p.state == esc && (r == '[' || r == ']'):
		p.state, p.param = byte(r), p.param[:0]
	case p.state == esc:
		p.state = 0
	case p.state == ']': // an operating system command lasts until BEL or ESC \
		if r == '\a' {
			p.state = 0
		} else if r == esc {
			p.state = esc
		}
	case r >= '@' && r <= '~':
		p.state = 0
		if r == 'K' {
			p.erase()
		}
	case r < ' ' || r > '~': // not a control sequence after all
		p.state = 0
	case len(p.param) < 16:
		p.param = append(p.param, byte(r))
	}
}

// erase is EL: to the end of the line, to its beginning, or all of it.
func (p *page) erase() {
	switch string(p.param) {
	case "", "0":
		p.line = p.line[:p.at]
	case "1", "2":
		for i := range p.line[:p.at] {
			p.line[i] = ' '
		}
		if p.param[0] == '2' {
			p.line = p.line[:p.at]
		}
	}
}

// clear takes everything back.
func (p *page) clear() { *p = page{} }

// text is all that stands there.
func (p *page) text() string { return p.lines.text() + string(p.line) }

// clipped keeps the beginning and the end of a text.
type clipped struct {
	head, tail []byte
	left       int // bytes between them that are not kept
}

const keptHalf = 4 << 20 // bytes of the beginning, and of the end

func (c *clipped) write(s string) {
	if room := keptHalf - len(c.head); room > 0 && c.tail == nil {
		n := min(room, len(s))
		for n < len(s) && n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		c.head = append(c.head, s[:n]...)
		if s = s[n:]; s == "" {
			return
		}
		c.tail = []byte{}
	}
	c.tail = append(c.tail, s...)
	if over := len(c.tail) - keptHalf; over > keptHalf { // not each time: moving costs
		for over < len(c.tail) && !utf8.RuneStart(c.tail[over]) {
			over++
		}
		c.left += over
		c.tail = append(c.tail[:0], c.tail[over:]...)
	}
}

func (c *clipped) text() string {
	if c.left == 0 {
		return string(c.head) + string(c.tail)
	}
	return fmt.Sprintf("%s\n[… %d bytes of output were left out here …]\n%s", c.head, c.left, c.tail)
}
