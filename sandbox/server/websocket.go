package server

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/valyala/fasthttp"
)

// A webSocket is the server's side of a connection by RFC 6455, without extensions. One goroutine reads, any write.
type webSocket struct {
	conn net.Conn
	in   *bufio.Reader

	mu  sync.Mutex
	out []byte
}

// The opcodes of frames.
const (
	opMore   = 0x0
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
	opPing   = 0x9
	opPong   = 0xa
)

const (
	maxMessage = 1 << 20 // bytes of one message of a client, in however many frames
	maxControl = 125     // bytes of a control frame, by the RFC
)

func newWebSocket(conn net.Conn) *webSocket {
	return &webSocket{conn: conn, in: bufio.NewReaderSize(conn, 4<<10)}
}

// acceptWebSocket gives the answer to the head of a request that wants to become a webSocket. Code: Invalid.
func acceptWebSocket(h *fasthttp.RequestHeader) (answer string, err error) {
	key := string(h.Peek("Sec-WebSocket-Key"))
	if raw, err := base64.StdEncoding.DecodeString(key); err != nil || len(raw) != 16 {
		return "", refused(sandbox.Invalid, "websocket", "want the header Sec-WebSocket-Key with 16 bytes in base64")
	}
	if string(h.Peek("Sec-WebSocket-Version")) != "13" {
		return "", refused(sandbox.Invalid, "websocket", "want the header Sec-WebSocket-Version: 13")
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n", nil
}

// sameOrigin says whether the request comes from no web page, or from one of this host.
func sameOrigin(h *fasthttp.RequestHeader) bool {
	origin := string(h.Peek("Origin"))
	_, host, _ := strings.Cut(origin, "://")
	return origin == "" || strings.EqualFold(host, string(h.Host()))
}

var errProtocol = errors.New("no frame of a WebSocket")

// next gives the next message, answering pings meanwhile. io.EOF after a message that closes.
func (w *webSocket) next() (op byte, message []byte, err error) {
	for {
		frame, final, payload, err := readWebFrame(w.in, maxMessage-len(message))
		if err != nil {
			return 0, nil, err
		}
		switch {
		case frame == opClose:
			_ = w.write(opClose, payload)
			return 0, nil, io.EOF
		case frame == opPing:
			if err := w.write(opPong, payload); err != nil {
				return 0, nil, err
			}
			continue
		case frame == opPong:
			continue
		case frame == opMore && op == 0, frame != opMore && op != 0:
			return 0, nil, errProtocol
		case frame != opMore:
			op = frame
		}
		if message = append(message, payload...); final {
			return op, message, nil
		}
	}
}

// readWebFrame reads one frame of a client, whose payload has at most limit bytes.
func readWebFrame(r *bufio.Reader, limit int) (op byte, final bool, payload []byte, err error) {
	var head [2]byte
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return 0, false, nil, err
	}
	op, final = head[0]&0xf, head[0]&0x80 != 0
	n := uint64(head[1] & 0x7f)
	control := op&0x8 != 0
	switch {
	case head[0]&0x70 != 0, head[1]&0x80 == 0, op > opPong || op > opBinary && op < opClose:
		return 0, false, nil, errProtocol // an extension, a frame without a mask, an unknown kind
	case control && (!final || n > maxControl):
		return 0, false, nil, errProtocol
	}
	var long [8]byte
	switch n {
	case 126:
		_, err = io.ReadFull(r, long[6:])
		n = binary.BigEndian.Uint64(long[:])
	case 127:
		_, err = io.ReadFull(r, long[:])
		n = binary.BigEndian.Uint64(long[:])
	}
	if err == nil && !control && n > uint64(max(limit, 0)) {
		err = errProtocol
	}
	var mask [4]byte
	if err == nil {
		_, err = io.ReadFull(r, mask[:])
	}
	if err != nil {
		return 0, false, nil, err
	}
	payload = make([]byte, n)
	if _, err = io.ReadFull(r, payload); err != nil {
		return 0, false, nil, err
	}
	for i := range payload {
		payload[i] ^= mask[i&3]
	}
	return op, final, payload, nil
}

// write writes a message in one frame.
func (w *webSocket) write(op byte, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := append(w.out[:0], 0x80|op)
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	w.out = append(b, payload...)
	_, err := w.conn.Write(w.out)
	return err
}
