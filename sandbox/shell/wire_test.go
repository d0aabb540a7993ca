package shell

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/testing/need"
)

func TestReportParser(t *testing.T) {
	const stream = "+ trace\nAAAAAAAAA\x1fjunkAAAAAAAAAA\x1f3\x1f4:7\x1f42\x1f$ \x1f/a b\x1f/usr/bin:/bin\x1fxAAAAAAAAAA\nmore"
	for n := 1; n <= len(stream); n++ {
		var p reportParser
		came := 0
		for rest := []byte(stream); len(rest) > 0; {
			k := min(n, len(rest))
			if p.feed(rest[:k], []byte("AAAAAAAAAA")) {
				came++
			}
			rest = rest[k:]
		}
		r := p.report
		if came != 1 || r.code != 3 || r.marked != 4 || r.of != 7 || r.pid != 42 || r.dir != "/a b" || r.path != "/usr/bin:/bin\x1fx" || r.prompt != "$ " {
			t.Fatalf("in pieces of %d: %d reports, %+v", n, came, r)
		}
	}
}

// FuzzReportParser: whatever a command writes on the socket, memory is bounded, and no report comes without the secret.
func FuzzReportParser(f *testing.F) {
	f.Add([]byte("0123456789\x1f1\x1f\x1f0123456789"), uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, n uint8) {
		var p reportParser
		secret := []byte("0123456789")
		for rest := stream; len(rest) > 0; {
			k := min(int(n)+1, len(rest))
			if p.feed(rest[:k], secret) && bytes.Count(stream, secret) < 2 {
				t.Fatal("forged")
			}
			rest = rest[k:]
		}
	})
}

// What is quoted comes out of bash as it went in.
func TestQuote(t *testing.T) {
	need.Tool(t, "bash")
	var all strings.Builder
	for i := 1; i < 256; i++ {
		all.WriteByte(byte(i))
	}
	for _, s := range []string{"", "plain", all.String(), "a\n\nb", "!!", "äöü€😀", "\xff\xfe\xc3", "\xffa1\x7f0", "\\n\\x41'\"`$", "\x01\x01\x7f\x7f"} {
		q := appendQuoted(nil, s)
		if bytes.IndexByte(q, '\n') >= 0 {
			t.Errorf("%q: more than one line", q)
		}
		for _, locale := range []string{"C", "C.UTF-8"} {
			cmd := exec.Command("bash", "-c", "printf %s "+string(q))
			cmd.Env = []string{"LC_ALL=" + locale}
			out, err := cmd.Output()
			if err != nil || string(out) != s {
				t.Errorf("%q in %s: %q, %v", s, locale, out, err)
			}
		}
	}
}

func TestKeys(t *testing.T) {
	for name, want := range map[string]int{"C-c": 3, "C-d": 4, "C-z": 26, "C-C": 3, "C-[": 27, "C-@": 0, "C-?": 127, "C-": -1, "c-c": -1, "C-cc": -1, "^C": -1} {
		got := -1
		if b, ok := controlKey(name); ok {
			got = int(b)
		}
		if got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	for name, want := range map[string]string{"Enter": "\r", "Up": "\x1b[A\r", "Tab": "\t\r", "BSpace": "\x7f\r", "up": "", "enter": ""} {
		if got, _ := namedKey(name, false); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got, _ := namedKey("Up", true); got != "\x1bOA\r" {
		t.Errorf("%q", got)
	}
}
