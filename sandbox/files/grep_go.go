package files

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"sync"
)

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 64<<10) }}

// search searches one file. What cannot be read any more ends it there.
func (g *grep) search(ctx context.Context, r io.Reader, name string) error {
	in := readers.Get().(*bufio.Reader)
	defer readers.Put(in)
	in.Reset(r)
	defer in.Reset(nil)
	if head, _ := in.Peek(binarySign); bytes.IndexByte(head, 0) >= 0 {
		return nil
	}
	f := fileSearch{grep: g, name: name}
	for more := true; more; {
		text, err := g.line(in)
		if f.number++; f.number%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if more = false; len(text) == 0 {
				return nil
			}
		}
		if err := f.take(text); err != nil {
			return err
		}
	}
	return nil
}

// line reads a line without its end; what is beyond maxGrepLine is left out.
func (g *grep) line(in *bufio.Reader) ([]byte, error) {
	text, err := in.ReadSlice('\n')
	if err != bufio.ErrBufferFull {
		return bytes.TrimSuffix(text, []byte{'\n'}), err
	}
	g.buf = append(g.buf[:0], text...)
	for err == bufio.ErrBufferFull {
		text, err = in.ReadSlice('\n')
		g.buf = append(g.buf, text[:min(len(text), maxGrepLine-len(g.buf))]...)
	}
	return bytes.TrimSuffix(g.buf, []byte{'\n'}), err
}

// A fileSearch knows the lines around the one that it is at.
type fileSearch struct {
	*grep
	name   string
	number int        // of the line
	before []keptLine // the last ones that were not given out, at most as many as the context has
	after  int        // so many more are given out as context
}

type keptLine struct {
	number int
	text   []byte // cut to what is shown
}

func (f *fileSearch) take(text []byte) error {
	column := f.find(text)
	switch {
	case column > 0:
		for _, l := range f.before {
			if err := f.found(f.name, l.number, 0, l.text); err != nil {
				return err
			}
		}
		f.before, f.after = f.before[:0], f.o.Context
		return f.found(f.name, f.number, column, text)
	case f.after > 0:
		f.after--
		return f.found(f.name, f.number, 0, text)
	case f.o.Context > 0:
		f.keep(text)
	}
	return nil
}

func (f *fileSearch) keep(text []byte) {
	var room []byte
	if len(f.before) == f.o.Context {
		room = f.before[0].text[:0]
		copy(f.before, f.before[1:])
		f.before = f.before[:len(f.before)-1]
	}
	f.before = append(f.before, keptLine{f.number, append(room, text[:min(len(text), maxGrepText+2)]...)})
}
