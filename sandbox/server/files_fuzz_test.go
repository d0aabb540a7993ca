package server

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func FuzzRange(f *testing.F) {
	for _, h := range []string{"", "bytes=0-4", "bytes=-5", "bytes=5-", "bytes=-0", "bytes=9-1", "bytes=0-0,1-2", "Bytes = 1-2", "bytes=99999999999999999999-", "bytes 0-4/*", "bytes 2-9223372036854775807/*", "bytes 0-4/5", "bytes 0-0/0"} {
		f.Add(h, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		part, how := parseRange(header, size)
		if part.start < 0 || part.n < 0 || part.start+part.n > size || part.start+part.n < part.start {
			t.Errorf("%q of %d: %+v", header, size, part)
		}
		if how == partOfFile && part.n == 0 || how != partOfFile && part != (span{0, size}) {
			t.Errorf("%q of %d: %+v, %d", header, size, part, how)
		}
		if part, ok := parseContentRange(header); ok && (part.start < 0 || part.n < 1 || part.start+part.n-1 < part.start) {
			t.Errorf("%q: %+v", header, part)
		}
	})
}

func FuzzConditions(f *testing.F) {
	for _, h := range []string{"", "*", `"a"`, `W/"a"`, `"b", "a"`, `"b" , W/"a",`, `"`, `W/`, `"a" "b"`, ",,,", `"unclosed`} {
		f.Add(h, "a")
	}
	f.Fuzz(func(t *testing.T, header, tag string) {
		if strings.Contains(tag, `"`) {
			return
		}
		etag := `"` + tag + `"`
		if tagged(header, etag, true) && !tagged(header, etag, false) {
			t.Errorf("%q has %q strongly but not weakly", header, etag)
		}
		if tagged(header, etag, false) && !strings.Contains(header, etag) && strings.TrimSpace(header) != "*" {
			t.Errorf("%q is said to have %q", header, etag)
		}
		if tagged(header, "", false) {
			t.Errorf("%q has a file that is not there", header)
		}
	})
}

func FuzzDigest(f *testing.F) {
	for _, h := range []string{"", "sha-256=:AAAA:", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:", "md5=:x:, sha-512=::", "sha-256=:x:;p=1", "sha-256=1, sha-512=10", "=,=,"} {
		f.Add(h, []byte(nil))
	}
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		if name := bestDigest(header); name != "" && hashOf(name) == nil {
			t.Errorf("%q wants %q", header, name)
		}
		d, err := parseDigest(header)
		if err != nil {
			return
		}
		_, err = io.Copy(io.Discard, verified{bytes.NewReader(body), d})
		if sum := d.hash.Sum(nil); (err == nil) != bytes.Equal(sum, d.sum) {
			t.Errorf("%q of %q: %v", header, body, err)
		}
	})
}
