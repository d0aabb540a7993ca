package audit

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// Farewell is how long, after the sandbox has ended, a controller may take for what it has not acknowledged.
const Farewell = 3 * time.Second

// serve gives the records to whoever has connected last, until the sandbox has ended and that one has all.
func (q *queue) serve(at *net.UnixListener, ended <-chan struct{}) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		<-ended
		at.Close()
	})
	var now *hearer
	for {
		c, err := at.AcceptUnix()
		if err != nil {
			break
		}
		if now != nil {
			now.replace()
		}
		now = q.give(c)
	}
	if now != nil {
		now.finish()
	}
}

// hearer is a controller that is connected.
type hearer struct {
	conn     *net.UnixConn
	replaced chan struct{}
	wg       sync.WaitGroup
}

func (q *queue) give(c *net.UnixConn) *hearer {
	h := &hearer{conn: c, replaced: make(chan struct{})}
	h.wg.Go(func() {
		defer c.CloseWrite() // with all that there was, when nothing comes any more; else it has failed already
		h.send(q)
	})
	h.wg.Go(func() { h.receive(q) })
	return h
}

// send writes the lines that nobody has acknowledged, and those that come.
func (h *hearer) send(q *queue) {
	b := bufio.NewWriter(h.conn)
	w := json.NewEncoder(b)
	w.SetEscapeHTML(false)
	for sent := uint64(0); ; {
		lines, rung, closed := q.after(sent)
		for _, l := range lines {
			_ = w.Encode(l) // which Flush tells of
			sent = l.Seq
		}
		if b.Flush() != nil {
			return
		}
		if len(lines) > 0 {
			continue
		}
		if closed {
			return
		}
		select {
		case <-rung:
			h.gather()
		case <-h.replaced:
			_ = w.Encode(farewellLine{true})
			_ = b.Flush()
			return
		}
	}
}

// linger is how long is waited for more to tell: where there is much, to wake the controller for each would take longer than to
// note it.
const linger = 10 * time.Millisecond

func (h *hearer) gather() {
	t := time.NewTimer(linger)
	defer t.Stop()
	select {
	case <-t.C:
	case <-h.replaced:
	}
}

// farewellLine tells a controller that another one hears the rest.
type farewellLine struct {
	Replaced bool `json:"replaced"`
}

// receive reads the numbers of what the controller has.
func (h *hearer) receive(q *queue) {
	r := bufio.NewReader(h.conn)
	for {
		var b [8]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return
		}
		q.acknowledge(binary.LittleEndian.Uint64(b[:]))
	}
}

// replace ends the connection in favour of another. One who does not read is not waited for.
func (h *hearer) replace() {
	h.conn.SetReadDeadline(time.Unix(1, 0))
	h.conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	close(h.replaced)
	h.wg.Wait()
	h.conn.Close()
}

// finish ends it when the controller has all, which closes it then.
func (h *hearer) finish() {
	late := time.AfterFunc(Farewell, func() { h.conn.SetDeadline(time.Unix(1, 0)) })
	h.wg.Wait()
	late.Stop()
	h.conn.Close()
}

// maxLine is what a controller reads of one record, in bytes: all that a record may have, and each byte of it escaped.
const maxLine = 256 << 10

// together is how many records are told at a time, if so many have come.
const together = 64

// ErrUntaken says that records were not taken by whoever was told. The keeper has them still, for the next who hears it.
var ErrUntaken = errors.New("nobody took them")

// Hear hears what a keeper has to tell, a few records at a time, until the connection ends: replaced says that another controller
// hears the rest. What tell has returned nil for, the keeper forgets, if it hears of it; else Hear ends with ErrUntaken.
func Hear(c net.Conn, tell func([]sandbox.AuditRecord) error) (replaced bool, err error) {
	r := bufio.NewReaderSize(c, maxLine)
	var records []sandbox.AuditRecord
	for {
		text, err := r.ReadSlice('\n')
		if err == io.EOF && len(text) == 0 {
			return false, nil
		} else if err != nil {
			return false, err
		}
		var l struct {
			line
			farewellLine
		}
		if err := json.Unmarshal(text, &l); err != nil {
			return false, err
		}
		if l.Replaced {
			return true, nil // and who hears now is told of what was not told here
		}
		if records = append(records, l.AuditRecord); len(records) < together && r.Buffered() > 0 {
			continue
		}
		if err := tell(records); err != nil {
			return false, fmt.Errorf("%w, %d or more: %w", ErrUntaken, len(records), err)
		}
		records = nil
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], l.Seq)
		if _, err := c.Write(b[:]); err != nil {
			return false, err
		}
	}
}
