package backends

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// book is the promises of all processes that share a directory, in which each is the name of an empty file. A number in the
// file that they lock is raised with each change: who finds it as it was has all promises in memory.
type book struct {
	dir string

	mu     sync.Mutex // taken before the lock of the file, which threads of one process could not tell apart
	lock   *os.File   // while with runs
	number uint64     // of the state that promises is; 0 is none
	all    map[string]promise
}

const lockName = "lock"

// with calls f with the promises, by their keys, while nobody else changes them; f changes them by put and remove alone.
func (b *book) with(f func(all map[string]promise) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	file, err := b.open()
	if err != nil {
		return err
	}
	b.lock = file
	defer func() {
		b.lock = nil
		file.Close() // and unlocks it
	}()
	for {
		if err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err == nil {
		err = b.read()
	}
	if err != nil {
		return err
	}
	return f(b.all)
}

func (b *book) open() (*os.File, error) {
	path := filepath.Join(b.dir, lockName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
}

// read makes all what the directory says.
func (b *book) read() error {
	var n [8]byte
	_, _ = b.lock.ReadAt(n[:], 0) // a new file has none, which is 0
	number := binary.LittleEndian.Uint64(n[:])
	if b.all != nil && number == b.number && number != 0 {
		return nil
	}
	dir, err := os.Open(b.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	b.number, b.all = number, map[string]promise{}
	for _, name := range names {
		p, ok := parsePromise(name)
		if !ok {
			continue
		}
		if other, ok := b.all[p.key()]; ok { // whoever replaced one by the other was killed in between
			_ = os.Remove(b.path(other))
		}
		b.all[p.key()] = p
	}
	return nil
}

// changing says to others that what they remember is no longer so; it comes before the change, so that who is killed
// between the two has changed nothing that is not looked at again.
func (b *book) changing() error {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], b.number+1)
	if _, err := b.lock.WriteAt(n[:], 0); err != nil {
		return err
	}
	b.number++
	return nil
}

// put writes p down, in place of what stands there of the same sandbox.
func (b *book) put(p promise) error {
	if err := b.changing(); err != nil {
		return err
	}
	if err := os.WriteFile(b.path(p), nil, 0o600); err != nil {
		return err
	}
	old, had := b.all[p.key()]
	b.all[p.key()] = p
	if had {
		return os.Remove(b.path(old))
	}
	return nil
}

func (b *book) remove(p promise) error {
	if err := b.changing(); err != nil {
		return err
	}
	if err := os.Remove(b.path(p)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	delete(b.all, p.key())
	return nil
}

func (b *book) path(p promise) string { return filepath.Join(b.dir, p.name()) }
