package kernel

import (
	"io"
	"strings"
)

// A tail reads what a program prints and keeps the end of it: the reason why it could not go on.
type tail struct {
	done chan struct{} // closed at the end of the output
	kept []byte        // only after done
}

const maxTail = 4 << 10 // bytes: a traceback

func newTail(r io.Reader) *tail {
	t := &tail{done: make(chan struct{})}
	go t.read(r) // ends with r
	return t
}

func (t *tail) read(r io.Reader) {
	defer close(t.done)
	buf := make([]byte, 1<<10)
	for {
		n, err := r.Read(buf)
		t.kept = append(t.kept, buf[:n]...)
		if over := len(t.kept) - maxTail; over > 0 {
			t.kept = append(t.kept[:0], t.kept[over:]...)
		}
		if err != nil {
			return
		}
	}
}

// lines are the last of the output, to be put after a sentence; "" if there was none.
func (t *tail) lines() string {
	<-t.done
	if s := strings.TrimSpace(strings.ToValidUTF8(string(t.kept), "")); s != "" {
		return ":\n" + s
	}
	return ""
}
