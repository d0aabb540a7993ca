package shell

import (
	"bytes"
	"strconv"
)

// A report is what bash tells after a command.
type report struct {
	code   int
	marked int // exit code of the last command that was not bare
	of     int // and the number of that command
	pid    int // $!, -1 if there is none
	dir    string
	path   string // $PATH
	prompt string // what the command has set as prompts; nearly always ""
}

// A reportParser finds reports in what comes from bash: fields that end in NUL, of which the first is the secret.
// Whatever else a command may have written there is skipped.
type reportParser struct {
	part   []byte // beginning of a field whose end has not come yet
	skip   bool   // the field is too long to be one of ours
	index  int    // of the next field; 0 while none has been the secret
	report report
}

const maxField = 1 << 20 // bytes: an environment variable has at most 128 KiB, a path 4 KiB

// next takes one field off the front of b; nil if there is none that is complete. The field is valid until the next call.
func (p *reportParser) next(b []byte) (field, rest []byte) {
	if b == nil {
		return nil, nil
	}
	for {
		i := bytes.IndexByte(b, 0)
		if i < 0 {
			if p.skip = p.skip || len(p.part)+len(b) > maxField; p.skip {
				p.part = p.part[:0]
			} else {
				p.part = append(p.part, b...)
			}
			return nil, nil
		}
		if p.skip {
			p.skip, b = false, b[i+1:]
			continue
		}
		if len(p.part) == 0 {
			return b[:i], b[i+1:]
		}
		field = append(p.part, b[:i]...)
		p.part = p.part[:0]
		return field, b[i+1:]
	}
}

// field takes the next field and reports whether it completes the report that begins with secret.
func (p *reportParser) field(f, secret []byte) (complete bool) {
	if len(secret) > 0 && bytes.Equal(f, secret) {
		p.index = 1
		return false
	}
	r := &p.report
	switch p.index {
	case 0:
		return false
	case 1:
		r.code = number(f)
	case 2:
		code, of, _ := bytes.Cut(f, []byte{':'})
		r.marked, r.of = number(code), number(of)
	case 3:
		r.pid = number(f)
	case 4:
		if string(f) != r.dir {
			r.dir = string(f)
		}
	case 5:
		if string(f) != r.path {
			r.path = string(f)
		}
	case 6:
		r.prompt = string(f)
	case 7: // only there to be $_
		p.index = 0
		return true
	}
	p.index++
	return false
}

func number(f []byte) int {
	if n, err := strconv.Atoi(string(f)); err == nil {
		return n
	}
	return -1
}
