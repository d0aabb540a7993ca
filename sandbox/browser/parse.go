package browser

import (
	"slices"
	"strconv"
	"strings"
)

// Bounds of what is parsed.
const (
	maxProgram = 1 << 20 // bytes: text to be filled in comes this way
	maxCalls   = 1000
	maxDepth   = 20 // of lists
)

// A step is one call of the vocabulary.
type step struct {
	name  string
	args  []any // string, int, float64, bool, nil, []any
	named []named
}

type named struct {
	name  string
	value any
}

// parse reads a program: calls in the syntax of Python, of literals only. Comments are skipped, and so is text that is no
// call; but a call of the vocabulary that cannot be read is an error, for skipping it would look like success.
func parse(text string) ([]step, error) {
	if len(text) > maxProgram {
		return nil, failed("ValueError", "the action has more than %d bytes", maxProgram)
	}
	p := parser{text: text, budget: 32*len(text) + 4096}
	var steps []step
	for !p.end() {
		switch c := p.text[p.at]; {
		case c == '#':
			p.skipLine()
		case c == '\'' || c == '"':
			if _, ok := p.str(); !ok {
				p.at++
			}
		case letter(c):
			s, err := p.call()
			if err != nil {
				return nil, err
			}
			if s != nil {
				steps = append(steps, *s)
			}
		default:
			p.at++
		}
		if len(steps) > maxCalls {
			return nil, failed("ValueError", "the action has more than %d calls", maxCalls)
		}
		if p.budget < 0 {
			return nil, failed("ValueError", "the action cannot be read: too many calls in it have no end")
		}
	}
	if len(steps) == 0 {
		return nil, failed("ValueError", "Received an empty action.")
	}
	for _, s := range steps {
		if _, ok := lookUp(s.name); !ok {
			return nil, failed("NameError", "Invalid action type '%s'.", s.name)
		}
	}
	return steps, nil
}

type parser struct {
	text   string
	at     int
	budget int // what reading in vain may still cost
}

func (p *parser) end() bool { return p.at >= len(p.text) }

func letter(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

func (p *parser) word() string {
	from := p.at
	for !p.end() && (letter(p.text[p.at]) || digit(p.text[p.at])) {
		p.at++
	}
	return p.text[from:p.at]
}

func (p *parser) skipLine() {
	if n := strings.IndexByte(p.text[p.at:], '\n'); n >= 0 {
		p.at += n + 1
		return
	}
	p.at = len(p.text)
}

// space skips white space and comments, which may stand between arguments.
func (p *parser) space() {
	for !p.end() {
		switch p.text[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		case '#':
			p.skipLine()
		default:
			return
		}
	}
}

func (p *parser) take(c byte) bool {
	p.space()
	if p.end() || p.text[p.at] != c {
		return false
	}
	p.at++
	return true
}

// call reads a word and, if it is called, its arguments. nil: it is just a word.
func (p *parser) call() (*step, error) {
	name := p.word()
	after := p.at
	for !p.end() && (p.text[p.at] == ' ' || p.text[p.at] == '\t') {
		p.at++
	}
	if p.end() || p.text[p.at] != '(' {
		p.at = after
		return nil, nil
	}
	p.at++
	s := &step{name: name}
	if p.arguments(s) {
		return s, nil
	}
	if _, ok := lookUp(name); ok {
		line := 1 + strings.Count(p.text[:after], "\n")
		return nil, failed("SyntaxError", "line %d: the arguments of %s() must be strings, numbers, True, False, None or lists of these", line, name)
	}
	p.budget -= p.at - after
	p.at = after
	return nil, nil
}

// arguments reads what follows the opening bracket.
func (p *parser) arguments(s *step) bool {
	for {
		if p.take(')') {
			return true
		}
		name := p.keyword()
		v, ok := p.value(0)
		switch {
		case !ok || name == "" && len(s.named) > 0:
			return false
		case name != "":
			s.named = append(s.named, named{name, v})
		default:
			s.args = append(s.args, v)
		}
		if !p.take(',') {
			return p.take(')')
		}
	}
}

// keyword reads the name before an argument; "" if it has none.
func (p *parser) keyword() string {
	p.space()
	from := p.at
	if !p.end() && letter(p.text[p.at]) {
		if name := p.word(); p.take('=') {
			return name
		}
	}
	p.at = from
	return ""
}

// value reads a literal.
func (p *parser) value(depth int) (any, bool) {
	p.space()
	if p.end() {
		return nil, false
	}
	switch c := p.text[p.at]; {
	case c == '\'' || c == '"':
		return p.str()
	case c == '[' && depth < maxDepth:
		p.at++
		return p.list(depth)
	case letter(c):
		switch p.word() {
		case "True", "true":
			return true, true
		case "False", "false":
			return false, true
		case "None", "null":
			return nil, true
		}
		return nil, false
	}
	return p.number()
}

func (p *parser) list(depth int) (any, bool) {
	all := []any{}
	for {
		if p.take(']') {
			return all, true
		}
		v, ok := p.value(depth + 1)
		if !ok {
			return nil, false
		}
		all = append(all, v)
		if !p.take(',') {
			return all, p.take(']')
		}
	}
}

func (p *parser) number() (any, bool) {
	from := p.at
	for !p.end() && (digit(p.text[p.at]) || slices.Contains([]byte("+-.eE_"), p.text[p.at])) {
		p.at++
	}
	text := strings.ReplaceAll(p.text[from:p.at], "_", "")
	if n, err := strconv.Atoi(text); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil
}
