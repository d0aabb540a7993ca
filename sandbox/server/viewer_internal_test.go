package server

import (
	"bytes"
	"testing"
)

// Images that follow each other are split without losing or inventing a byte.
func FuzzSplitPNG(f *testing.F) {
	one := "\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00CRC!\x00\x00\x00\x00IENDCRC!"
	for _, s := range []string{"", one, one + one, one + "rest", one[:20], "\x89PNG\r\n\x1a\n\xff\xff\xff\xffIHDR"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		all := []byte{}
		for _, p := range splitPNG(b) {
			all = append(all, p.png...)
		}
		if !bytes.HasPrefix(b, all) {
			t.Errorf("%q: %q", b, all)
		}
	})
}
