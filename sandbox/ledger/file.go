package ledger

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sandtree/sandtree/sandbox"
)

// A file is the ledger's file, open for appending. Its methods are called one at a time.
type file struct {
	path   string
	f      *os.File
	lock   *os.File
	size   int64  // of whole records
	waste  int64  // size from which on a rewrite is worth a thought
	buf    []byte // holds the head of the record being written
	spare  bool   // there is a spare
	missed int    // records written since the spare was used
	broken error  // set when the end of the file is not known to be whole
}

const (
	// minWaste is how long a file may be, in bytes, before anybody asks how much of it is waste.
	minWaste = 1 << 20
	// maxBuffer is the longest record, in bytes, that is copied to be written at once; a longer one takes two writes.
	maxBuffer = 64 << 10
)

var errAlien = errors.New("the file is no ledger, or one of a newer version")

// openFile opens or makes the file. Whoever has it open has all that is beside it.
func openFile(path string) (_ *file, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	// A second server on the same record would perform actions twice. The lock is beside the file, which is replaced.
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	f := &file{path: path, lock: lock}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return f, fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if f.f, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600); err != nil {
		return f, err
	}
	return f, nil
}

// read hands the records to each, and cuts off what follows the last whole one.
func (f *file) read(each func(typ byte, id string, content []byte) error) error {
	st, err := f.f.Stat()
	if err != nil {
		return err
	}
	var head [len(magic)]byte
	n, err := io.ReadFull(f.f, head[:])
	if endOf(err) != nil {
		return err
	}
	if string(head[:n]) != magic[:n] {
		return errAlien
	}
	if n < len(magic) { // new, or its maker died at once
		if err := f.f.Truncate(0); err != nil {
			return err
		}
		_, err := f.f.WriteString(magic)
		f.size = int64(len(magic))
		return err
	}
	end, err := readRecords(f.f, st.Size()-int64(n), each)
	if err != nil {
		return err
	}
	f.size = int64(n) + end
	if f.size < st.Size() {
		return f.f.Truncate(f.size)
	}
	return nil
}

// append writes one record at the end. If that fails in the middle, the piece is cut off again: records that came after
// it would be lost.
func (f *file) append(typ byte, id string, content []byte) (err error) {
	if f.broken != nil {
		return f.broken
	}
	if f.buf, err = appendRecord(f.buf[:0], typ, id, content); err != nil {
		return err
	}
	n := int64(len(f.buf) + len(content))
	for {
		if err = f.write(content); err == nil {
			f.size += n
			f.restock()
			return nil
		}
		if cut := f.f.Truncate(f.size); cut != nil {
			f.broken = errors.Join(err, cut)
			return f.broken
		}
		if !full(err) || !f.useSpare() {
			return err
		}
	}
}

// write writes f.buf and content.
func (f *file) write(content []byte) error {
	head := len(f.buf)
	if len(content) <= maxBuffer {
		f.buf = append(f.buf, content...)
		_, err := f.f.Write(f.buf)
		f.buf = f.buf[:head]
		return err
	}
	if _, err := f.f.Write(f.buf[:head]); err != nil {
		return err
	}
	_, err := f.f.Write(content)
	return err
}

// wasteful says whether the file is worth rewriting, given how much of it is still wanted.
func (f *file) wasteful(live int64) bool {
	return f.broken != nil || f.size > minWaste && f.size > f.waste && f.size > 2*live
}

// compact replaces the file by what snapshot puts. After a failure the old file goes on.
func (f *file) compact(snapshot func(put func(typ byte, id string, content []byte) error) error) (err error) {
	f.waste = f.size + minWaste // from when on to try again, should this fail
	temp, err := os.OpenFile(f.path+".new", os.O_CREATE|os.O_TRUNC|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, temp.Close(), os.Remove(temp.Name()))
		}
	}()
	w := bufio.NewWriterSize(temp, maxBuffer)
	size, _ := w.WriteString(magic)
	var head []byte
	err = snapshot(func(typ byte, id string, content []byte) error {
		if head, err = appendRecord(head[:0], typ, id, content); err != nil {
			return err
		}
		w.Write(head)
		size += len(head) + len(content)
		_, err := w.Write(content) // which tells of the failures before it too
		return err
	})
	if err = errors.Join(err, w.Flush()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), f.path); err != nil {
		return err
	}
	f.f.Close() // only read and written without buffer: nothing to lose
	f.f, f.size, f.waste, f.broken = temp, int64(size), 0, nil
	return nil
}

func (f *file) close() error {
	var err error
	if f.f != nil {
		err = f.f.Close()
	}
	return errors.Join(err, f.lock.Close())
}

// failure says what the caller can do about an error of the file system.
func failure(op string, err error) error {
	code := sandbox.Internal
	switch {
	case errors.Is(err, errAlien):
		code = sandbox.Invalid
	case errors.Is(err, syscall.EWOULDBLOCK):
		code = sandbox.Conflict
	case full(err), errors.Is(err, errTooLong):
		code = sandbox.Exhausted
	}
	return &sandbox.Error{Code: code, Op: op, Err: err}
}
