package audit

import (
	"bytes"
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// What is read of one call, in bytes and numbers.
const (
	maxPath  = 1024
	maxArgs  = 64
	maxArg   = 1024
	maxArgv  = 4096 // of all arguments together
	pageSize = 4096 // at least; where pages are larger there are only more pieces
)

// memory is that of the thread whose call waits.
type memory int

// read fills b from an address, as far as there is memory, and gives what it has.
func (m memory) read(address uint64, b []byte) []byte {
	// In pieces that end with pages: of one that is not all there, the kernel gives nothing. See process_vm_readv(2).
	var pieces []unix.RemoteIovec
	for at, left := address, uint64(len(b)); left > 0; {
		n := min(left, pageSize-at%pageSize)
		pieces = append(pieces, unix.RemoteIovec{Base: uintptr(at), Len: int(n)})
		at, left = at+n, left-n
		if at == 0 {
			break // the end of all addresses
		}
	}
	local := []unix.Iovec{{Base: &b[0]}}
	local[0].SetLen(len(b))
	n, err := unix.ProcessVMReadv(int(m), local, pieces, 0)
	if err != nil || n < 0 {
		return nil
	}
	return b[:n]
}

// text reads what ends with a NUL byte, at most n bytes of it.
func (m memory) text(address uint64, n int) (s string, cut bool) {
	if address == 0 || n <= 0 {
		return "", address != 0
	}
	// Most are short, and to read more than there is takes longer.
	const short = 128
	b := m.read(address, make([]byte, min(n, short)))
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return string(b[:i]), false
	}
	if len(b) < short || n <= short {
		return string(b), true
	}
	b = append(b, m.read(address+short, make([]byte, n-short))...)
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return string(b[:i]), false
	}
	return string(b), true
}

// texts reads a list of addresses of texts, ended by a zero, and the texts.
func (m memory) texts(address uint64) (list []string, cut bool) {
	const word = 8
	if address == 0 {
		return nil, false
	}
	pointers := m.read(address, make([]byte, word*(maxArgs+1)))
	left := maxArgv
	for i := 0; ; i++ {
		if len(pointers) < word {
			return list, true
		}
		p := binary.NativeEndian.Uint64(pointers)
		pointers = pointers[word:]
		if p == 0 {
			return list, cut
		}
		if i == maxArgs || left <= 0 {
			return list, true
		}
		s, short := m.text(p, min(maxArg, left))
		left -= len(s) + 1
		list, cut = append(list, s), cut || short
	}
}

// place is the directory that a descriptor of the thread stands for, or where it is; "" if that cannot be told.
func (m memory) place(descriptor int32) string {
	name := "/proc/" + itoa(int(m)) + "/cwd"
	if descriptor != unix.AT_FDCWD {
		// The directory of its descriptors is for its own user alone, who the keeper need not be.
		fd, err := m.descriptor(int(descriptor))
		if err != nil {
			return ""
		}
		defer unix.Close(fd)
		name = "/proc/self/fd/" + itoa(fd)
	}
	s, err := os.Readlink(name)
	if err != nil || len(s) > maxPath {
		return ""
	}
	return s
}

// descriptor gives one of the thread's, of which nothing but the name is asked.
func (m memory) descriptor(number int) (int, error) {
	thread, err := unix.PidfdOpen(int(m), 0)
	if err != nil { // it is not the first of its process
		thread, err = unix.PidfdOpen(int(m), unix.PIDFD_THREAD) // since Linux 6.9
	}
	if err != nil {
		return -1, err
	}
	defer unix.Close(thread)
	return unix.PidfdGetfd(thread, number, 0)
}
