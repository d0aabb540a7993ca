package kernel

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// A script is a connection on which the peer has said all that it will say.
type script struct{ io.Reader }

func (script) Write(p []byte) (int, error)      { return len(p), nil }
func (script) Close() error                     { return nil }
func (script) LocalAddr() net.Addr              { return nil }
func (script) RemoteAddr() net.Addr             { return nil }
func (script) SetDeadline(time.Time) error      { return nil }
func (script) SetReadDeadline(time.Time) error  { return nil }
func (script) SetWriteDeadline(time.Time) error { return nil }

// greeting is what a kernel's socket says first.
func greeting(kind string) []byte {
	b := make([]byte, greeted)
	b[0], b[9], b[10], b[11] = 0xff, 0x7f, 3, 1
	copy(b[12:], "NULL")
	ready := appendProperty([]byte("\x05READY"), "Identity", "x")
	return appendFrame(b, flagCommand, appendProperty(ready, "socket-type", kind))
}

// published is what a kernel says in one message.
func published(t testing.TB, key, typ, parent, content string) []byte {
	t.Helper()
	signed := [][]byte{[]byte(`{"msg_id":"k1","msg_type":"` + typ + `"}`), []byte(`{"msg_id":"` + parent + `"}`), []byte("{}"), []byte(content)}
	frames := append([][]byte{[]byte("kernel." + typ), delimiter, newSigner(key).sign(signed)}, signed...)
	var b []byte
	for i, f := range frames {
		flags := byte(flagMore)
		if i == len(frames)-1 {
			flags = 0
		}
		b = appendFrame(b, flags, f)
	}
	return b
}

// FuzzPeer gives all that a kernel can write to its sockets to the code that reads it.
func FuzzPeer(f *testing.F) {
	whole := greeting("PUB")
	for _, m := range []struct{ typ, content string }{
		{"status", `{"execution_state":"busy"}`},
		{"stream", `{"name":"stdout","text":"a\rb\u001b[31mc\u001b[2K\b\n"}`},
		{"display_data", `{"data":{"text/plain":"x","image/png":"AA==\n","text/html":["<b>","</b>"]},"transient":{"display_id":"1"}}`},
		{"update_display_data", `{"data":{"text/html":"<i>"},"transient":{"display_id":"1"}}`},
		{"error", `{"ename":"E","evalue":"v","traceback":["a","b"]}`},
		{"clear_output", `{"wait":true}`},
		{"execute_reply", `{"payload":[{"source":"page","data":{"text/plain":"help"}}]}`},
	} {
		whole = append(whole, published(f, "key", m.typ, "c", m.content)...)
	}
	f.Add(whole)
	f.Add(append(greeting("PUB"), 2, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff))
	f.Add(append(greeting("XPUB"), bytes.Repeat([]byte{1, 0}, maxFrames+2)...))
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := greet(script{bytes.NewReader(b)}, "SUB")
		if err != nil {
			return
		}
		c, s := newCell("c", nil), newSigner("key")
		pr := &process{cell: c, unwanted: map[string]bool{}}
		for {
			frames, left, err := p.receive()
			if err != nil {
				break
			}
			if m, err := s.read(frames, left); err == nil {
				c.take(m)
				pr.answered(m)
			}
		}
		if content, _, _ := c.result(); utf8.Valid(b) && !utf8.ValidString(content) {
			t.Errorf("%q", content)
		}
	})
}

// FuzzPage looks for text that is kept for ever, or changed where nothing asks for it.
func FuzzPage(f *testing.F) {
	for _, s := range []string{"a\nb", "12345\r67", "x\b\by", "\x1b[1;31mred\x1b[0m", "\x1b]8;;u\x1b\\link\x1b]8;;\a", "50%\r\x1b[K100%\n", "ü\rä", "\x1b", "\x1b[999999999999999999999m"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return
		}
		var whole, parts page
		whole.write(s)
		for _, r := range s {
			parts.write(string(r))
		}
		if whole.text() != parts.text() {
			t.Errorf("%q at once, %q rune by rune", whole.text(), parts.text())
		}
		if !strings.ContainsAny(s, "\r\b\x1b") && whole.text() != s {
			t.Errorf("%q became %q", s, whole.text())
		}
		if strings.ContainsRune(whole.text(), esc) {
			t.Errorf("an escape in %q", whole.text())
		}
	})
}

// FuzzReady reads what a socket says of itself.
func FuzzReady(f *testing.F) {
	f.Add(greeting("ROUTER")[greeted+2:])
	f.Add(binary.BigEndian.AppendUint32([]byte("\x05READY\x01x"), 1<<31))
	f.Fuzz(func(t *testing.T, b []byte) { socketType(b) })
}

// FuzzMembers compares the count of members with what encoding/json makes of the text.
func FuzzMembers(f *testing.F) {
	for _, s := range []string{`[]`, `{}`, `[1,2]`, `{"a":"},\"\\","b":[1,2,{"c":3}]}`, `["\\\\",","]`, `"a,b"`, `["`, `[1,`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n := members(b)
		var list []json.RawMessage
		if json.Unmarshal(b, &list) == nil && n != max(1, len(list)) && list != nil {
			t.Errorf("%q: %d members, want %d", b, n, len(list))
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(b, &object) == nil && n < len(object) {
			t.Errorf("%q: %d members, want at least %d", b, n, len(object))
		}
	})
}
