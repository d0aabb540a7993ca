package kernel

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// A peer is the other end of one ZeroMQ connection, spoken to in ZMTP 3.0 (RFC 23) with the NULL mechanism. The code of
// the sandbox can write there what it likes: nothing is reserved that has only been announced, and what is longer than
// maxMessage is read and thrown away.
//
// It is not a library's because the one there is, go-zeromq/zmq4 0.17, reserves what a frame's length says: a kernel that
// writes nine bytes into its socket ends the server with "makeslice: len out of range".
//
// One goroutine may receive and another one send.
type peer struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte // of the message being sent
}

const (
	flagMore    = 1
	flagLong    = 2
	flagCommand = 4

	maxMessage = 32 << 20 // bytes kept of one message: a large picture has 10 MiB
	maxFrames  = 64       // of one message: Jupyter's have 6 and their buffers
	greeted    = 64       // bytes of a greeting
)

// The kinds of socket that are used here, and those they may be connected to.
var counterparts = map[string][]string{"DEALER": {"ROUTER"}, "SUB": {"PUB", "XPUB"}}

var errProtocol = errors.New("the peer does not speak ZMTP 3")

// greet makes a connection one of ZeroMQ. kind is the socket's: DEALER, or SUB, which then has subscribed to everything.
func greet(conn net.Conn, kind string) (*peer, error) {
	p := &peer{conn: conn, in: bufio.NewReaderSize(conn, 16<<10)}
	greeting := make([]byte, greeted)
	greeting[0], greeting[9], greeting[10] = 0xff, 0x7f, 3
	copy(greeting[12:], "NULL")
	ready := appendProperty([]byte("\x05READY"), "Socket-Type", kind)
	ready = appendProperty(ready, "Identity", "")
	if _, err := conn.Write(append(greeting, appendFrame(nil, flagCommand, ready)...)); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(p.in, greeting); err != nil {
		return nil, err
	}
	if greeting[0] != 0xff || greeting[9] != 0x7f || greeting[10] < 3 || !bytes.Equal(greeting[12:32], append([]byte("NULL"), make([]byte, 16)...)) {
		return nil, errProtocol
	}
	flags, size, err := p.header()
	if err != nil || flags != flagCommand || size > 1<<10 {
		return nil, errors.Join(errProtocol, err)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(p.in, body); err != nil {
		return nil, err
	}
	if other, ok := socketType(body); !ok || !contains(counterparts[kind], other) {
		return nil, fmt.Errorf("%w: a %.20q socket for %s", errProtocol, other, kind)
	}
	if kind == "SUB" {
		_, err = conn.Write(appendFrame(nil, 0, []byte{1}))
	}
	return p, err
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

func appendProperty(dst []byte, name, value string) []byte {
	dst = append(append(dst, byte(len(name))), name...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(value)))
	return append(dst, value...)
}

// socketType finds the kind of socket in a READY command.
func socketType(b []byte) (string, bool) {
	b, ok := bytes.CutPrefix(b, []byte("\x05READY"))
	for ok && len(b) > 0 {
		n := int(b[0])
		if len(b) < 1+n+4 {
			return "", false
		}
		name, size := b[1:1+n], binary.BigEndian.Uint32(b[1+n:])
		b = b[1+n+4:]
		if uint64(size) > uint64(len(b)) {
			return "", false
		}
		if bytes.EqualFold(name, []byte("Socket-Type")) {
			return string(b[:size]), true
		}
		b = b[size:]
	}
	return "", false
}

func appendFrame(dst []byte, flags byte, body []byte) []byte {
	if len(body) < 256 {
		dst = append(dst, flags, byte(len(body)))
	} else {
		dst = binary.BigEndian.AppendUint64(append(dst, flags|flagLong), uint64(len(body)))
	}
	return append(dst, body...)
}

// send writes one message.
func (p *peer) send(frames [][]byte) error {
	p.out = p.out[:0]
	for i, f := range frames {
		flags := byte(flagMore)
		if i == len(frames)-1 {
			flags = 0
		}
		p.out = appendFrame(p.out, flags, f)
	}
	_, err := p.conn.Write(p.out)
	if cap(p.out) > 1<<20 {
		p.out = nil
	}
	return err
}

func (p *peer) header() (flags byte, size uint64, err error) {
	if flags, err = p.in.ReadByte(); err != nil {
		return 0, 0, err
	}
	var b [8]byte
	n := 1
	if flags&flagLong != 0 {
		n = 8
	}
	if _, err := io.ReadFull(p.in, b[8-n:]); err != nil {
		return 0, 0, err
	}
	if flags&^(flagMore|flagLong|flagCommand) != 0 {
		return 0, 0, errProtocol
	}
	return flags, binary.BigEndian.Uint64(b[:]), nil
}

// receive reads one message. A frame that would make it longer than maxMessage is nil, and its bytes are in left.
func (p *peer) receive() (frames [][]byte, left uint64, err error) {
	var held uint64
	for {
		flags, size, err := p.header()
		if err != nil {
			return nil, 0, err
		}
		var body []byte
		if size > maxMessage-held || flags&flagCommand != 0 {
			err = p.skip(size)
			left += size
		} else {
			body, err = p.body(int(size))
			held += size
		}
		if err != nil {
			return nil, 0, err
		}
		if flags&flagCommand != 0 { // none means anything here
			left = 0
			continue
		}
		if frames = append(frames, body); len(frames) > maxFrames {
			return nil, 0, fmt.Errorf("%w: more than %d frames", errProtocol, maxFrames)
		}
		if flags&flagMore == 0 {
			return frames, left, nil
		}
	}
}

// body reads size bytes, and takes memory as they come.
func (p *peer) body(size int) ([]byte, error) {
	const trusted = 64 << 10
	if size <= trusted {
		b := make([]byte, size)
		_, err := io.ReadFull(p.in, b)
		return b, err
	}
	var b bytes.Buffer
	b.Grow(trusted)
	_, err := io.CopyN(&b, p.in, int64(size))
	return b.Bytes(), err
}

func (p *peer) skip(size uint64) error {
	if size > 1<<40 {
		return fmt.Errorf("%w: a frame of %d bytes", errProtocol, size)
	}
	_, err := io.CopyN(io.Discard, p.in, int64(size))
	return err
}
