package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox/wire"
)

// ask sends a request and gives the whole answer.
func (b *box) ask(method, path, body string, header ...string) (*http.Response, string) {
	b.t.Helper()
	response, err := b.client.Do(b.request(method, path, body, header...))
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return response, string(got)
}

func sha(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

func TestFileRanges(t *testing.T) {
	b := start(t, nil)
	const content = "0123456789"
	if err := os.WriteFile(filepath.Join(b.dir, "f"), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	whole, _ := b.ask("GET", wire.PathFiles+"?path=f", "")
	etag := whole.Header.Get("ETag")
	if etag == "" || strings.HasPrefix(etag, "W/") || whole.Header.Get("Accept-Ranges") != "bytes" || whole.Header.Get("Last-Modified") == "" {
		t.Errorf("%v", whole.Header)
	}
	for _, c := range []struct {
		header       []string
		status       int
		body, ranged string
	}{
		{nil, 200, content, ""},
		{[]string{"Range", "bytes=2-4"}, 206, "234", "bytes 2-4/10"},
		{[]string{"Range", "bytes=7-"}, 206, "789", "bytes 7-9/10"},
		{[]string{"Range", "bytes=-3"}, 206, "789", "bytes 7-9/10"},
		{[]string{"Range", "bytes=-30"}, 206, content, "bytes 0-9/10"},
		{[]string{"Range", "bytes=9-99999999999999999999"}, 206, "9", "bytes 9-9/10"},
		{[]string{"Range", "bytes=10-"}, 416, "", "bytes */10"},
		{[]string{"Range", "bytes=-0"}, 416, "", "bytes */10"},
		{[]string{"Range", "bytes=4-2"}, 200, content, ""},
		{[]string{"Range", "lines=1-2"}, 200, content, ""},
		{[]string{"Range", "bytes=0-1,4-5"}, 200, content, ""},
		{[]string{"Range", "bytes=2-4", "If-Range", etag}, 206, "234", "bytes 2-4/10"},
		{[]string{"Range", "bytes=2-4", "If-Range", `"other"`}, 200, content, ""},
		{[]string{"Range", "bytes=2-4", "If-Range", "W/" + etag}, 200, content, ""},
		{[]string{"If-None-Match", `"x", W/` + etag}, 304, "", ""},
		{[]string{"If-None-Match", `"x"`}, 200, content, ""},
		{[]string{"If-Match", `"x", ` + etag}, 200, content, ""},
		{[]string{"If-Match", `"x"`, "Range", "bytes=0-1"}, 412, "*", ""},
	} {
		r, body := b.ask("GET", wire.PathFiles+"?path=f", "", c.header...)
		if r.StatusCode != c.status || c.body != "*" && body != c.body || r.Header.Get("Content-Range") != c.ranged {
			t.Errorf("%q: %d %q %q", c.header, r.StatusCode, body, r.Header.Get("Content-Range"))
		}
		h, body := b.ask("HEAD", wire.PathFiles+"?path=f", "", c.header...)
		if h.StatusCode != c.status || body != "" || c.status < 300 && h.ContentLength != int64(len(c.body)) {
			t.Errorf("HEAD %q: %d, %d bytes, %q", c.header, h.StatusCode, h.ContentLength, body)
		}
	}
	for _, header := range [][]string{{"Want-Repr-Digest", "md5=9, sha-256=3, sha-512=0"}, {"Want-Repr-Digest", "sha-256=1", "Range", "bytes=0-0"}} {
		if r, _ := b.ask("GET", wire.PathFiles+"?path=f", "", header...); r.Header.Get("Repr-Digest") != sha(content) {
			t.Errorf("%q: %q", header, r.Header.Get("Repr-Digest"))
		}
	}
	if r, _ := b.ask("HEAD", wire.PathFiles+"?path=f&checksum=sha256", ""); r.Header.Get("Repr-Digest") != sha(content) {
		t.Errorf("%q", r.Header.Get("Repr-Digest"))
	}
	if r, _ := b.ask("GET", wire.PathFiles+"?path=f&checksum=crc", ""); r.StatusCode != 400 {
		t.Error(r.StatusCode)
	}
}

func TestPutFileConditions(t *testing.T) {
	b := start(t, nil)
	f := filepath.Join(b.dir, "f")
	put := func(want int, body string, header ...string) string {
		t.Helper()
		r, answer := b.ask("PUT", wire.PathFiles+"?path=f", body, header...)
		if r.StatusCode != want {
			t.Errorf("PUT %q: %d %s", header, r.StatusCode, answer)
		}
		if want == 412 && !strings.Contains(answer, `"conflict"`) {
			t.Error(answer)
		}
		return r.Header.Get("ETag")
	}
	holds := func(want string) {
		t.Helper()
		if got, err := os.ReadFile(f); string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	put(412, "one", "If-Match", "*")
	first := put(204, "one", "If-None-Match", "*")
	put(412, "two", "If-None-Match", "*")
	put(412, "two", "If-Match", `"other"`)
	put(400, "two", "Content-Digest", sha("one"))
	put(400, "two", "Repr-Digest", "md5=:abcd:")
	holds("one")
	second := put(204, "two", "If-Match", first, "Repr-Digest", "md5=:abcd:, "+sha("two"))
	put(412, "three", "If-Match", first)
	holds("two")
	if r, _ := b.ask("GET", wire.PathFiles+"?path=f", ""); r.Header.Get("ETag") != second || first == second {
		t.Errorf("%q, %q, then %q", first, second, r.Header.Get("ETag"))
	}
	if r, _ := b.ask("PUT", wire.PathFiles+"?path=f", "three", "Want-Repr-Digest", "sha-256=1"); r.Header.Get("Repr-Digest") != sha("three") {
		t.Errorf("%q", r.Header.Get("Repr-Digest"))
	}
}

func TestWriteInPlace(t *testing.T) {
	b := start(t, nil)
	f := filepath.Join(b.dir, "d", "f")
	for _, c := range []struct {
		method, query, body string
		header              []string
		status              int
		want                string
	}{
		{"PATCH", "", "01234", nil, 204, "01234"},
		{"PATCH", "", "56789", nil, 204, "0123456789"},
		{"PATCH", "&offset=2", "xy", nil, 204, "01xy456789"},
		{"PUT", "", "ab", []string{"Content-Range", "bytes 8-9/*"}, 204, "01xy4567ab"},
		{"PUT", "", "ab", []string{"Content-Range", "bytes 8-10/*"}, 400, "01xy4567ab"},
		{"PUT", "", "ab", []string{"Content-Range", "bytes 8-9/9"}, 400, "01xy4567ab"},
		{"PATCH", "&offset=-1", "ab", nil, 400, "01xy4567ab"},
		{"PATCH", "&offset=9", "ab", []string{"Content-Digest", sha("ab")}, 400, "01xy4567ab"},
		{"PATCH", "&offset=9", "ab", []string{"If-None-Match", "*"}, 412, "01xy4567ab"},
		{"PATCH", "&offset=12", "z", nil, 204, "01xy4567ab\x00\x00z"},
	} {
		r, answer := b.ask(c.method, wire.PathFiles+"?path=d/f"+c.query, c.body, c.header...)
		if got, _ := os.ReadFile(f); r.StatusCode != c.status || string(got) != c.want {
			t.Errorf("%+v: %d %s, %q", c, r.StatusCode, answer, got)
		}
	}
}

func TestFileNames(t *testing.T) {
	b := start(t, nil)
	post := func(want int, path string, v any) string {
		t.Helper()
		body, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		status, answer := b.do("POST", path, string(body))
		if status != want {
			t.Errorf("%s %s: %d %s", path, body, status, answer)
		}
		return answer
	}
	post(204, wire.PathMkdir, wire.Mkdir{Path: "a/b", Mode: "750"})
	post(204, wire.PathMkdir, wire.Mkdir{Path: "a/b"})
	post(409, wire.PathMkdir, wire.Mkdir{Path: "a/b", Exclusive: true})
	post(403, wire.PathMkdir, wire.Mkdir{Path: "../x"})
	b.do("PUT", wire.PathFiles+"?path=a/b/f", "hello")
	post(204, wire.PathChmod, wire.Chmod{Path: "a/b/f", Mode: "4711"})
	post(400, wire.PathChmod, wire.Chmod{Path: "a/b/f", Mode: "9"})
	var st wire.FileStat
	_, answer := b.do("GET", wire.PathStat+"?path=a/b/f", "")
	if err := json.Unmarshal([]byte(answer), &st); err != nil || st.Name != "f" || st.Path != "a/b/f" || st.Type != "file" || st.Size != 5 ||
		st.Mode != "4711" || st.MTime.IsZero() || st.UID != os.Geteuid() || st.ETag == "" {
		t.Errorf("%v: %s", err, answer)
	}
	post(409, wire.PathMove, wire.Move{From: "a/b/f", To: "a"})
	post(204, wire.PathMove, wire.Move{From: "a/b/f", To: "new/g"})
	post(404, wire.PathMove, wire.Move{From: "a/b/f", To: "new/g"})
	post(409, wire.PathRemove, wire.Remove{Path: "new"})
	if err := os.Symlink("g", filepath.Join(b.dir, "new", "link")); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{"": `"type":"file"`, "&follow=true": `"type":"file"`, "&follow=false": `"target":"g"`} {
		if _, answer := b.do("GET", wire.PathStat+"?path=new/link"+query, ""); !strings.Contains(answer, want) {
			t.Errorf("%s: %s", query, answer)
		}
	}
	var long []wire.FileStat
	status, answer := b.do("GET", wire.PathList+"?path=new&long=true", "")
	if err := json.Unmarshal([]byte(answer), &long); err != nil || status != 200 || len(long) != 2 || long[0].Path != "new/g" || long[1].Type != "link" {
		t.Errorf("%d %v: %s", status, err, answer)
	}
	if status, answer := b.do("GET", wire.PathList+"?path=a/b&long=true", ""); status != 200 || answer != "[]" {
		t.Errorf("%d %s", status, answer)
	}
	if status, _ := b.do("DELETE", wire.PathFiles+"?path=new/link", ""); status != 204 {
		t.Error(status)
	}
	post(204, wire.PathRemove, wire.Remove{Path: "new", Recursive: true})
	post(404, wire.PathRemove, wire.Remove{Path: "new"})
	post(204, wire.PathRemove, wire.Remove{Path: "new", Missing: true})
	post(400, wire.PathRemove, wire.Remove{Path: ".", Recursive: true})
	if status, answer := b.do("POST", wire.PathRemove, `{"path":"a","recursiv":true}`); status != 400 || !strings.Contains(answer, "recursiv") {
		t.Errorf("%d %s", status, answer)
	}
}
