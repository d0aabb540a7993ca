package ledger

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/sandtree/sandtree/sandbox"
)

// The file is magic, then records: length of the body (uint32), its CRC-32C (uint32), the body; big-endian. A body is a
// type, the length of the id (one byte), the id, and what the type says.
const (
	recordReceived = 'r' // the hash of the action's body
	recordDone     = 'd' // the answer
	recordEpoch    = 'e' // no id; the epoch, uint64
	recordGone     = 'g' // no id; keys
)

const (
	magic        = "sandtree ledger\x01"
	recordHeader = 8
	maxBody      = 1 << 30 // bytes; the longest frame that could carry an answer is a quarter of it
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errTooLong = errors.New("the answer is too long to be recorded")

// appendRecord appends a record without its content, which follows as it is.
func appendRecord(dst []byte, typ byte, id string, content []byte) ([]byte, error) {
	n := 2 + len(id) + len(content)
	if n > maxBody {
		return dst, errTooLong
	}
	at := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	dst = append(dst, 0, 0, 0, 0, typ, byte(len(id)))
	dst = append(dst, id...)
	sum := crc32.Update(crc32.Checksum(dst[at+recordHeader:], castagnoli), castagnoli, content)
	binary.BigEndian.PutUint32(dst[at+4:], sum)
	return dst, nil
}

// readRecords calls each with every whole record of the size bytes in r, and says where they end: what follows was being
// written when the process died. The content is each's own. The error is r's.
func readRecords(r io.Reader, size int64, each func(typ byte, id string, content []byte) error) (end int64, err error) {
	br := bufio.NewReaderSize(r, 64<<10)
	for {
		var header [recordHeader]byte
		if _, err := io.ReadFull(br, header[:]); err != nil {
			return end, endOf(err)
		}
		n := int64(binary.BigEndian.Uint32(header[:]))
		if n < 2 || n > maxBody || n > size-end-recordHeader {
			return end, nil
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(br, body); err != nil {
			return end, endOf(err)
		}
		idEnd := 2 + int64(body[1])
		if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(header[4:]) || idEnd > n {
			return end, nil
		}
		if err := each(body[0], string(body[2:idEnd]), body[idEnd:]); err != nil {
			return end, err
		}
		end += recordHeader + n
	}
}

func endOf(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// replay takes one record of the file into l, before anybody else knows l.
func (l *Ledger) replay(typ byte, id string, content []byte) error {
	switch typ {
	case recordReceived:
		if len(content) != sha256.Size || sandbox.CheckActionID(id) != nil || l.entries[id] != nil {
			return errAlien
		}
		l.entries[id] = &Entry{l: l, id: id, body: [sha256.Size]byte(content), settled: make(chan struct{})}
	case recordDone:
		e := l.entries[id]
		if e == nil {
			return errAlien
		}
		if _, ok := e.Answer(); ok {
			return errAlien
		}
		l.settleLocked(e, content)
	case recordEpoch:
		if len(content) != 8 {
			return errAlien
		}
		l.epoch = max(l.epoch, binary.BigEndian.Uint64(content))
	case recordGone:
		if len(content)%keySize != 0 {
			return errAlien
		}
		for ; len(content) > 0; content = content[keySize:] {
			l.gone.add(max(1, key(binary.BigEndian.Uint64(content))))
		}
	default:
		return errAlien
	}
	return nil
}

// snapshotLocked writes all that is still wanted as records.
func (l *Ledger) snapshotLocked(put func(typ byte, id string, content []byte) error) error {
	if l.epoch > 0 {
		if err := put(recordEpoch, "", appendUint64(nil, l.epoch)); err != nil {
			return err
		}
	}
	if len(l.gone.unsaved) > 0 {
		var keys []byte
		for _, k := range l.gone.unsaved {
			keys = appendUint64(keys, uint64(k))
		}
		if err := put(recordGone, "", keys); err != nil {
			return err
		}
	}
	for _, e := range l.done {
		if err := errors.Join(put(recordReceived, e.id, e.body[:]), put(recordDone, e.id, e.answer)); err != nil {
			return err
		}
	}
	for _, id := range l.runningLocked() {
		if err := put(recordReceived, id, l.entries[id].body[:]); err != nil {
			return err
		}
	}
	return nil
}

// liveLocked is about how many bytes a snapshot takes.
func (l *Ledger) liveLocked() int64 {
	const received = recordHeader + 2 + 64 + sha256.Size // at most
	return l.bytes + int64(len(l.entries))*2*received + int64(len(l.gone.unsaved)*keySize)
}

func (l *Ledger) writeLocked(typ byte, id string, content []byte) error {
	if l.file == nil {
		return nil
	}
	l.tidyLocked()
	return l.file.append(typ, id, content)
}

// tidyLocked rewrites the file if most of it is waste. If that fails the old file is still good, and it is tried later.
func (l *Ledger) tidyLocked() {
	if l.file.wasteful(l.liveLocked()) {
		l.file.compact(l.snapshotLocked)
	}
}
