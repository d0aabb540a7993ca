package journal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// A sideFile holds entries: for each four bytes of length, four of checksum (both little-endian, CRC-32C), and the
// entry. Its process holds its lock as long as it lives.
type sideFile struct {
	name string // its base name, by which the database remembers how far it has been taken in
	file *os.File
	size int64
	last uint64 // number of the last entry
	buf  []byte
}

const sideInfix = "-side-"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func createSide(journal string) (*sideFile, error) {
	for {
		path := journal + sideInfix + sandbox.RandomHex(8)
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
		// Until it is locked, others may take it for a dead process's, lock it and remove it.
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil && there(path, f) {
			return &sideFile{name: filepath.Base(path), file: f}, nil
		}
		_ = f.Close()
		_ = os.Remove(path)
	}
}

// there says whether f is what path names.
func there(path string, f *os.File) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}

// append numbers and writes entries. What is written of one that fails is cut off again.
func (f *sideFile) append(entries []*entry) error {
	b := f.buf[:0]
	for _, e := range entries {
		f.last++
		e.n = f.last
		b = appendEntry(b, e)
	}
	if cap(b) <= sideKept {
		f.buf = b
	}
	n, err := f.file.Write(b)
	if err != nil {
		return errors.Join(err, f.file.Truncate(f.size))
	}
	f.size += int64(n)
	return nil
}

// shrink empties a file that has become long, and of which everything has been taken in.
func (f *sideFile) shrink() {
	if f.size > sideKept && f.file.Truncate(0) == nil {
		f.size = 0
	}
}

func (f *sideFile) close(remove bool) error {
	var err error
	if remove {
		err = os.Remove(f.file.Name())
	}
	return errors.Join(err, f.file.Close())
}

func appendEntry(b []byte, e *entry) []byte {
	start := len(b)
	b = append(b, make([]byte, 8)...)
	b = binary.AppendUvarint(b, e.n)
	b = binary.AppendUvarint(b, e.epoch)
	b = binary.AppendVarint(b, e.Time.UnixNano())
	for _, s := range []string{string(e.Runtime), e.Type, e.ActionID} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	b = append(b, e.Body...)
	payload := b[start+8:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[start+4:], crc32.Checksum(payload, castagnoli))
	return b
}

// readEntries gives the entries of b up to the first that is torn, which is where its process died.
func readEntries(b []byte) (out []*entry) {
	for len(b) >= 8 {
		n := binary.LittleEndian.Uint32(b)
		if uint64(n) > uint64(len(b)-8) {
			break
		}
		payload := b[8 : 8+n]
		if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
			break
		}
		e, ok := readEntry(payload)
		if !ok {
			break
		}
		out = append(out, e)
		b = b[8+n:]
	}
	return out
}

func readEntry(b []byte) (*entry, bool) {
	ok := true
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		if ok = ok && n > 0; !ok {
			return 0
		}
		b = b[n:]
		return v
	}
	text := func() string {
		n := number()
		if ok = ok && n <= uint64(len(b)); !ok {
			return ""
		}
		s := string(b[:n])
		b = b[n:]
		return s
	}
	e := &entry{n: number(), epoch: number()}
	at, n := binary.Varint(b)
	if ok = ok && n > 0; !ok {
		return nil, false
	}
	b = b[n:]
	e.Time = time.Unix(0, at).UTC()
	e.Runtime, e.Type, e.ActionID = sandbox.ID(text()), text(), text()
	e.Body = b
	return e, ok
}

// sideFiles are the side files of a journal, but for the one named own.
func sideFiles(journal, own string) ([]string, error) {
	dir, base := filepath.Split(journal)
	names, err := os.ReadDir(filepath.Clean(dir + "."))
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, n := range names {
		if strings.HasPrefix(n.Name(), base+sideInfix) && n.Name() != own {
			paths = append(paths, dir+n.Name())
		}
	}
	return paths, nil
}

// abandoned says whether the process of a side file has ended.
func abandoned(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// openSide opens somebody else's side file and reads it. dead says that its process has ended; then the file is locked.
// No file: it has gone meanwhile.
func openSide(path string) (f *os.File, entries []*entry, dead bool, err error) {
	f, err = os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, false, nil
	}
	if err != nil {
		return nil, nil, false, err
	}
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case err == nil:
		dead = true
	case !errors.Is(err, syscall.EWOULDBLOCK):
		return nil, nil, false, errors.Join(err, f.Close())
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, nil, false, errors.Join(err, f.Close())
	}
	return f, readEntries(b), dead, nil
}
