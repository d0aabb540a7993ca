package shell

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"strconv"
	"sync"
)

// A report is what bash tells after a command.
type report struct {
	code   int
	marked int    // exit code of the last command that was not bare (see send)
	of     int    // and the number of that command
	pid    int    // $!, -1 if there is none
	prompt string // what the command has set as prompt; nearly always ""
	dir    string
	path   string // $PATH
}

// A secret is a word that no one else knows. A report begins and ends with one.
type secret [10]byte

func newSecret(s *secret) {
	var text [(len(s) + 2) / 3 * 4]byte
	base64.RawURLEncoding.Encode(text[:], chance.take(len(s)))
	copy(s[:], text[:])
}

// chance is random bytes for secrets, fetched some at a time: each time is a system call that costs more than all the rest.
var chance randomBytes

type randomBytes struct {
	mu   sync.Mutex
	left []byte
	buf  [1024]byte
}

// take gives n bytes that nobody else gets.
func (r *randomBytes) take(n int) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.left) < n {
		rand.Read(r.buf[:])
		r.left = r.buf[:]
	}
	b := append([]byte(nil), r.left[:n]...)
	clear(r.left[:n])
	r.left = r.left[n:]
	return b
}

const (
	separator    = 0x1f
	reportFields = 6
	maxReport    = 16 << 20 // bytes: PATH has a few hundred, but nothing bounds it
)

// What bash prints for a report, between secrets: $?, what the command has left in __sandtree (see send), $!, the prompt,
// directory and, unless it is a brief one, PATH, after separators. It is one word and echo, for that is what bash does
// fastest; PATH, being long, takes a tenth of the time of a bare command.
const (
	told     = "\x1f$?\x1f${__sandtree-}\x1f${!-}\x1f"
	toldDir  = "\x1f${PWD-}"
	toldLast = toldDir + "\x1f${PATH-}"
)

// A reportParser finds a report in what comes from bash. Whatever else a command may have written there is skipped.
type reportParser struct {
	part    []byte // what may be the beginning of the report, or is
	begun   bool   // it is: the first secret has been taken off
	scanned int    // so much of it does not hold the second
	report
}

// feed takes b and says whether it completes the report between two secrets.
func (p *reportParser) feed(b, secret []byte) (complete bool) {
	p.part = append(p.part, b...)
	if !p.begun {
		i := bytes.Index(p.part, secret)
		if i < 0 {
			p.cut(max(0, len(p.part)-len(secret)+1))
			return false
		}
		p.cut(i + len(secret))
		p.begun = true
	}
	i := bytes.Index(p.part[p.scanned:], secret)
	if i < 0 {
		p.scanned = max(0, len(p.part)-len(secret)+1)
		return false
	}
	p.parse(p.part[:p.scanned+i])
	p.reset()
	return true
}

// cut takes n bytes off the beginning.
func (p *reportParser) cut(n int) { p.part = append(p.part[:0], p.part[n:]...) }

// reset begins anew, for another secret.
func (p *reportParser) reset() {
	p.part, p.begun, p.scanned = p.part[:0], false, 0
	if cap(p.part) > maxKept {
		p.part = nil
	}
}

// parse takes the fields, the first of which is empty, for there is a separator after the secret.
func (p *reportParser) parse(body []byte) {
	r := &p.report
	for i := 0; i <= reportFields; i++ {
		field, rest := body, []byte(nil)
		if end := bytes.IndexByte(body, separator); end >= 0 && i < reportFields {
			field, rest = body[:end], body[end+1:]
		}
		body = rest
		switch i {
		case 1:
			r.code = number(field)
		case 2:
			code, of, _ := bytes.Cut(field, []byte{':'})
			r.marked, r.of = number(code), number(of)
		case 3:
			r.pid = number(field)
		case 4:
			r.prompt = string(field)
		case 5:
			keep(&r.dir, field)
		case 6:
			if field != nil { // else it is as it was
				keep(&r.path, field)
			}
		}
	}
}

// keep sets s to b, without a copy if they are equal.
func keep(s *string, b []byte) {
	if *s != string(b) {
		*s = string(b)
	}
}

func number(f []byte) int {
	if n, err := strconv.Atoi(string(f)); err == nil {
		return n
	}
	return -1
}
