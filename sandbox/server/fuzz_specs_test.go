package server

import (
	"bufio"
	"bytes"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
)

// FuzzSpecs reads what clients ask for: whatever it is, it is refused as Invalid or is what it says.
func FuzzSpecs(f *testing.F) {
	for _, seed := range []string{`{"kind":"pipe","cwd":"/","env":{"A":"b"}}`, `{"argv":["a"],"timeout":1.5}`, `{"command":"x","id":"p"}`,
		`{"type":"resize","cols":1,"rows":2}`, `{}`, ``, `{"a`, `{"timeout":1e999}`, `{"argv":["\u0000"]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if spec, err := parseSessionSpec(b); err == nil && spec.Kind != kindPTY && spec.Kind != kindPipe || err != nil && sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("%+v, %v", spec, err)
		}
		if c, err := parseCommand(b); err == nil && (len(c.Argv) == 0) == (c.Command == "") || err != nil && sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("%+v, %v", c, err)
		}
		if m, err := parseTerminalMessage(b); err == nil && (m.Cols == 0 || m.Rows == 0) || err != nil && sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("%+v, %v", m, err)
		}
		if n, err := signalOf(string(b)); err == nil && (n < 1 || n > 64) {
			t.Errorf("%d", n)
		}
	})
}

// FuzzWebSocket reads frames: none takes more memory than it may, and what is read again is the same.
func FuzzWebSocket(f *testing.F) {
	f.Add([]byte{0x82, 0x81, 1, 2, 3, 4, 5})
	f.Add([]byte{0x89, 0x80, 1, 2, 3, 4, 0x88, 0x80, 1, 2, 3, 4})
	f.Add([]byte{0x02, 0x81, 0, 0, 0, 0, 5, 0x80, 0x81, 0, 0, 0, 0, 6})
	f.Add([]byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		for r := bufio.NewReader(bytes.NewReader(b)); ; {
			op, _, payload, err := readWebFrame(r, maxMessage)
			if err != nil {
				return
			}
			if len(payload) > len(b) || op > opPong {
				t.Errorf("op %d, %d bytes of %d", op, len(payload), len(b))
			}
		}
	})
}
