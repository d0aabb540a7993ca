package shell

import "bytes"

// A trace hides what bash says of our own lines while a command has its trace on (set -x).
type trace struct {
	on bool // since an earlier command
}

var (
	ours        = []byte("__sandtree")
	traceOfEval = []byte("+ builtin eval -- ")
	traceOfMark = []byte("+ __sandtree=")
)

// strip takes the traces of the line that delivered a command and of the one that reported its end off its text. The
// latter has the secret in it; it is also how the trace being on is known.
func (t *trace) strip(text, secret []byte) []byte {
	if !t.on && !bytes.Contains(text, ours) {
		return text
	}
	if t.on && bytes.HasPrefix(text, traceOfEval) {
		if i := bytes.Index(text, ours); i >= 0 {
			text = text[i:]
		}
		_, text, _ = bytes.Cut(text, []byte{'\n'})
	}
	i := bytes.Index(text, secret)
	if t.on = i >= 0; t.on {
		text = fromLine(text, i)
		if i := bytes.LastIndex(text, traceOfMark); i >= 0 {
			text = fromLine(text, i)
		}
	}
	return text
}

// fromLine cuts text off before the line that has byte i.
func fromLine(text []byte, i int) []byte { return text[:bytes.LastIndexByte(text[:i], '\n')+1] }
