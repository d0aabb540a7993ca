package shell

import "bytes"

// A trace hides what bash says of our own lines while a command has its trace on (set -x).
type trace struct {
	on bool // since an earlier command
}

var (
	traceOfEval = []byte("+ builtin eval -- ")
	traceOfMend = []byte("+ __sandtree_mend")
	traceOfOurs = []byte("+ __sandtree")
	ours        = traceOfOurs[2:]
)

// strip takes the traces of the line that delivered a command, and of what comes after it, off its text.
func (t *trace) strip(text []byte) []byte {
	if !t.on && !bytes.Contains(text, ours) {
		return text
	}
	if t.on && bytes.HasPrefix(text, traceOfMend) {
		text = text[max(0, bytes.Index(text, traceOfEval)):]
	}
	if t.on && bytes.HasPrefix(text, traceOfEval) {
		if i := bytes.Index(text, ours); i >= 0 { // at the end of the word, which may have many lines
			text = text[i:]
		}
		_, text, _ = bytes.Cut(text, []byte{'\n'})
	}
	i := bytes.Index(text, traceOfOurs)
	if t.on = i >= 0; t.on {
		text = text[:bytes.LastIndexByte(text[:i], '\n')+1]
	}
	return text
}
