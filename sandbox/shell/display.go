package shell

import "bytes"

// A display is what the output of a session is kept on until an answer brings it: a screen, or for pipes a tape.
type display interface {
	feed(p []byte)
	appendNew(dst []byte) (text []byte, lines int) // what has not been reported
	mark()                                         // all has been
	reset()
	freshLine()
	renewed() bool  // something has changed since the last call
	isLost() bool   // some of it is not there any more
	keysMode() bool // cursor keys are to be sent in their application's form
	answers(func([]byte))
}

func (s *screen) renewed() (changed bool) {
	changed, s.changed = s.changed, false
	return changed
}

func (s *screen) isLost() bool { return s.lost }

func (s *screen) keysMode() bool { return s.appKeys }

func (s *screen) answers(reply func([]byte)) { s.reply = reply }

// maxTape is how much a tape keeps, 1 MiB: an observation shows 30,000 characters unless it is hidden, and the whole
// output has been streamed.
const maxTape = 1 << 20

// A tape keeps the end of what has been fed to it, as it is.
type tape struct {
	text    []byte
	changed bool
	lost    bool
}

func (t *tape) feed(p []byte) {
	t.changed = t.changed || len(p) > 0
	t.text = append(t.text, p...)
	if over := len(t.text) - maxTape; over > maxTape {
		t.text = append(t.text[:0], t.text[over:]...)
		t.lost = true
	}
}

func (t *tape) appendNew(dst []byte) ([]byte, int) {
	text := bytes.TrimRight(t.text, "\r\n")
	if over := len(text) - maxTape; over > 0 {
		text, t.lost = text[over:], true
	}
	if len(text) == 0 {
		return dst, 0
	}
	return append(dst, text...), bytes.Count(text, []byte{'\n'}) + 1
}

func (t *tape) mark() {
	if t.text = t.text[:0]; cap(t.text) > maxKeptTape {
		t.text = nil
	}
}

const maxKeptTape = 64 << 10 // bytes of a tape's memory that stay between answers

func (t *tape) reset() {
	t.mark()
	t.lost = false
}

func (t *tape) renewed() (changed bool) {
	changed, t.changed = t.changed, false
	return changed
}

func (t *tape) freshLine()           {}
func (t *tape) isLost() bool         { return t.lost }
func (t *tape) keysMode() bool       { return false }
func (t *tape) answers(func([]byte)) {}
