package egress

import (
	"bufio"
	"bytes"
	"net/http"
	"testing"
)

func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"CONNECT a.b:443 HTTP/1.1\r\nHost: c.d\r\n\r\n",
		"CONNECT [::1]:443 HTTP/1.1\r\n\r\n",
		"GET http://a.b/c?d HTTP/1.1\r\nHost: e.f\r\nConnection: close, x\r\nX: y\r\n\r\n",
		"POST http://u:p@a.b:81/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
		"GET http://a.b HTTP/1.0\r\nUpgrade: websocket\r\n\r\nrest",
		"GET http://1.2.3.4:0/ HTTP/1.1\r\n\r\n",
		"\x16\x03\x01", "",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := readRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			return
		}
		if q.target.port == 0 || (q.target.name == "") == !q.target.addr.IsValid() {
			t.Fatalf("%q asks for %+v", b, q.target)
		}
		if q.head == nil {
			return
		}
		// The server must read one request, for the host that was checked, and nothing behind its head.
		r := bufio.NewReader(bytes.NewReader(q.head))
		again, err := http.ReadRequest(r)
		if err != nil {
			t.Fatalf("%q becomes %q: %v", b, q.head, err)
		}
		if r.Buffered() > 0 || again.URL.IsAbs() || again.Header.Get("Proxy-Authorization") != "" {
			t.Errorf("%q becomes %q", b, q.head)
		}
		to, err := hostPort(again.Host, "80")
		if err != nil || to != q.target {
			t.Errorf("%q asks for %+v and says %q, %v", b, q.target, again.Host, err)
		}
	})
}
