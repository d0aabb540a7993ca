package egress

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

const (
	maxHead      = 64 << 10 // bytes of a request's head: net/http's servers take a megabyte, nobody sends this much
	headPatience = 30 * time.Second
)

// request is what a program asks of the proxy.
type request struct {
	target target
	head   []byte // to send instead of the one that came; nil if a tunnel was asked for
}

// asked serves a connection of a program that knows of the proxy.
func (p *Proxy) asked(f *flow) {
	_ = f.inside.SetReadDeadline(time.Now().Add(headPatience))
	limited := &io.LimitedReader{R: f.inside, N: maxHead}
	r := bufio.NewReader(limited)
	q, err := readRequest(r)
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed):
		return
	case err != nil:
		p.deny(sandbox.Connection{Why: sandbox.CauseRequest})
		f.refuse(http.StatusBadRequest, err.Error())
		return
	}
	_ = f.inside.SetReadDeadline(time.Time{})
	if no := f.connect(q.target); no != nil {
		f.refuse(no.words(q.target))
		return
	}
	first, _ := r.Peek(r.Buffered())
	if q.head != nil {
		first = append(q.head, first...)
	} else if _, err := io.WriteString(f.inside, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	f.pump(first)
}

// readRequest reads the head of a request, and no more than a buffer of what follows.
func readRequest(r *bufio.Reader) (request, error) {
	h, err := http.ReadRequest(r)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return request{}, fmt.Errorf("want a request whose head has at most %d bytes", maxHead)
	case err != nil:
		return request{}, err
	case h.ProtoMajor != 1:
		return request{}, fmt.Errorf("want HTTP/1, have %s", h.Proto)
	case h.Method == http.MethodConnect:
		t, err := hostPort(h.URL.Host, "")
		return request{target: t}, err
	case h.URL.Scheme != "http" || h.URL.Host == "":
		return request{}, errors.New("this is the proxy of the sandbox: it takes CONNECT and requests with an http:// URL")
	}
	t, err := hostPort(h.URL.Host, "80")
	if err != nil {
		return request{}, err
	}
	return request{target: t, head: forwarded(h)}, nil
}

func hostPort(s, usual string) (target, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil && usual != "" {
		host, port = strings.Trim(s, "[]"), usual
	} else if err != nil {
		return target{}, fmt.Errorf("want HOST:PORT, have %.80q", s)
	}
	if port == "" {
		port = usual
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return target{}, fmt.Errorf("want a port from 1 to %d, have %.20q", math.MaxUint16, port)
	}
	t, err := parseTarget(host, uint16(n))
	if err != nil {
		return target{}, fmt.Errorf("%.80q: %w", host, err)
	}
	return t, nil
}

// forwarded is the head of a request as the server is to see it. The host is that of the URL, which is what was checked,
// and the connection ends with the answer: the next request may be for another host.
func forwarded(h *http.Request) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\r\nHost: %s\r\n", h.Method, h.URL.RequestURI(), h.Proto, h.URL.Host)
	for _, names := range h.Header["Connection"] {
		for name := range strings.SplitSeq(names, ",") {
			if name = textproto.TrimString(name); !strings.EqualFold(name, "upgrade") {
				h.Header.Del(name)
			}
		}
	}
	for _, name := range []string{"Connection", "Proxy-Connection", "Proxy-Authorization", "Keep-Alive", "Te", "Host"} {
		h.Header.Del(name)
	}
	connection := "close"
	if h.Header.Get("Upgrade") != "" {
		connection = "Upgrade"
	}
	h.Header.Set("Connection", connection)
	if len(h.TransferEncoding) > 0 { // ReadRequest has taken it out, and passes only this one
		h.Header.Set("Transfer-Encoding", "chunked")
	}
	if len(h.Trailer) > 0 {
		var names []string
		for name := range h.Trailer {
			names = append(names, name)
		}
		h.Header.Set("Trailer", strings.Join(names, ", "))
	}
	_ = h.Header.Write(&b) // into memory
	b.WriteString("\r\n")
	return b.Bytes()
}

// words say to a program why it is not connected.
func (r refusal) words(t target) (status int, text string) {
	what := t.name
	if what == "" {
		what = t.addr.String()
	}
	switch r.why {
	case sandbox.CauseResolve:
		return http.StatusBadGateway, r.err.Error()
	case sandbox.CauseDial:
		return http.StatusBadGateway, fmt.Sprintf("%s port %d cannot be reached", what, t.port)
	case sandbox.CausePort:
		return http.StatusForbidden, fmt.Sprintf("the limits of this sandbox do not let it connect to port %d", t.port)
	case sandbox.CauseShut:
		return http.StatusForbidden, fmt.Sprintf("%s is an address that sandboxes do not reach: private, local to the host, or reserved", what)
	}
	return http.StatusForbidden, fmt.Sprintf("the egress policy of this sandbox does not let it connect to %s", what)
}

// refuse answers a request that is not served.
func (f *flow) refuse(status int, text string) {
	text += "\n"
	_ = f.inside.SetDeadline(time.Now().Add(time.Second))
	_, _ = fmt.Fprintf(f.inside, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), len(text), text)
}
