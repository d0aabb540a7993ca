package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// program starts a web server as one in the sandbox would, and gives the path that leads to it.
func program(t *testing.T, h http.HandlerFunc) (path string) {
	t.Helper()
	web := httptest.NewServer(h)
	t.Cleanup(web.Close)
	u, err := url.Parse(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	return wire.PathPorts + "/" + u.Port()
}

// raw starts a program that answers each connection as it likes.
func raw(t *testing.T, answer func(net.Conn, *bufio.Reader)) (path string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			answer(conn, bufio.NewReader(conn))
			conn.Close()
		}
	}()
	return fmt.Sprintf("%s/%d", wire.PathPorts, ln.Addr().(*net.TCPAddr).Port)
}

// readHead reads a request's head.
func readHead(t *testing.T, r *bufio.Reader) string {
	var head strings.Builder
	for {
		line, err := r.ReadString('\n')
		head.WriteString(line)
		if err != nil || line == "\r\n" {
			return head.String()
		}
	}
}

func TestWhatAProgramIsAskedFor(t *testing.T) {
	b := start(t, nil)
	var got *http.Request
	path := program(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.Background())
		w.Header().Set("Sandtree-Version", "99")
		w.Header().Set("X-Session-API-Key", "mine")
		w.Header().Set("Keep-Alive", "timeout=5")
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "tea")
	})
	r := b.request("PATCH", path+"/a%2Fb//c?x=%20&y=ä", "body", "Authorization", "Bearer "+key, wire.HeaderEpoch, "1",
		"Sandtree-Other", "x", "Connection", "X-Mine, close", "X-Mine", "gone", "Keep-Alive", "1", "TE", "trailers", "Cookie", "c=3",
		"X-Forwarded-Prefix", "/gate", "X-Forwarded-For", "10.0.0.1")
	response, err := b.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusTeapot || string(body) != "tea" {
		t.Errorf("%d %q, %v", response.StatusCode, body, err)
	}
	port := strings.TrimPrefix(path, wire.PathPorts+"/")
	if got.Method != "PATCH" || got.RequestURI != "/a%2Fb//c?x=%20&y=%C3%A4" && got.RequestURI != "/a%2Fb//c?x=%20&y=ä" || got.Host != "localhost:"+port {
		t.Errorf("%s %s of %s", got.Method, got.RequestURI, got.Host)
	}
	for name, want := range map[string]string{"X-Session-Api-Key": "", "Authorization": "", "Sandtree-Epoch": "", "Sandtree-Other": "",
		"X-Mine": "", "Keep-Alive": "", "Te": "", "Cookie": "c=3", "X-Forwarded-Prefix": "/gate" + path, "X-Forwarded-Host": "sandbox",
		"X-Forwarded-Proto": "http", "X-Forwarded-For": "10.0.0.1", "Content-Length": "4"} {
		if v := got.Header.Get(name); v != want {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
	h := response.Header
	if h.Get(wire.HeaderVersion) != "" || h.Get(wire.HeaderKey) != "" || h.Get("Keep-Alive") != "" || len(h["Set-Cookie"]) != 2 || !response.Close {
		t.Errorf("%v, close %t", h, response.Close)
	}
}

// Bodies of known and unknown length go both ways whole, with and without asking first.
func TestLongBodiesAreForwarded(t *testing.T) {
	b := start(t, nil)
	path := program(t, func(w http.ResponseWriter, r *http.Request) {
		if n := r.Header.Get("Say-Length"); n != "" {
			w.Header().Set("Content-Length", n)
		}
		_ = http.NewResponseController(w).EnableFullDuplex()
		io.Copy(w, r.Body)
	})
	body := make([]byte, 20<<20+1)
	rand.NewChaCha8([32]byte{}).Read(body)
	for _, known := range []bool{true, false} {
		for _, expect := range []string{"", "100-continue"} {
			r := b.request("POST", path+"/", "", "Expect", expect)
			r.Body = io.NopCloser(bytes.NewReader(body))
			r.ContentLength = -1
			if known {
				r.ContentLength = int64(len(body))
				r.Header.Set("Say-Length", fmt.Sprint(len(body)))
			}
			status, got := b.send(r)
			if status != http.StatusOK || sha256.Sum256([]byte(got)) != sha256.Sum256(body) {
				t.Errorf("known %t, expect %q: status %d, %d bytes", known, expect, status, len(got))
			}
		}
	}
}

func TestForwardingTakesNoMoreMemoryForLongStreams(t *testing.T) {
	b := start(t, nil)
	const size = 300 << 20
	path := program(t, func(w http.ResponseWriter, r *http.Request) { io.CopyN(w, zero{}, size) })
	response, err := b.client.Do(b.request("GET", path+"/", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	n, err := io.Copy(io.Discard, response.Body)
	goruntime.ReadMemStats(&after)
	if n != size || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
}

func TestEventsAreForwardedAsTheyCome(t *testing.T) {
	b := start(t, nil)
	next := make(chan string)
	gone := make(chan struct{})
	path := program(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			select {
			case v := <-next:
				fmt.Fprintf(w, "data: %s\n\n", v)
				http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				close(gone)
				return
			}
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { next <- "first" }()
	response, err := b.client.Do(b.request("GET", path+"/events", "").WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	for i, v := range []string{"first", "second", "third"} {
		if i > 0 {
			next <- v
		}
		line, err := lines.ReadString('\n')
		if err != nil || line != "data: "+v+"\n" {
			t.Fatalf("%q, %v", line, err)
		}
		lines.ReadString('\n')
	}
	cancel() // the program learns that its client has gone
	<-gone
}

func TestWebSocketsAreForwarded(t *testing.T) {
	b := start(t, nil)
	ended := make(chan error, 1)
	path := program(t, func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"echo"}})
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.CloseNow()
		conn.SetReadLimit(-1)
		for {
			typ, msg, err := conn.Read(r.Context())
			if err != nil {
				ended <- err
				return
			}
			if err := conn.Write(r.Context(), typ, msg); err != nil {
				t.Error(err)
			}
		}
	})
	conn, _, err := websocket.Dial(t.Context(), "ws://sandbox"+path+"/ws", &websocket.DialOptions{HTTPClient: b.client,
		HTTPHeader: http.Header{wire.HeaderKey: {key}}, Subprotocols: []string{"echo"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	conn.SetReadLimit(-1)
	if conn.Subprotocol() != "echo" {
		t.Errorf("subprotocol %q", conn.Subprotocol())
	}
	for _, size := range []int{0, 1, 5000, 3 << 20} {
		msg := bytes.Repeat([]byte{'x'}, size)
		if err := conn.Write(t.Context(), websocket.MessageBinary, msg); err != nil {
			t.Fatal(err)
		}
		_, got, err := conn.Read(t.Context())
		if err != nil || !bytes.Equal(got, msg) {
			t.Fatalf("%d bytes of %d, %v", len(got), size, err)
		}
	}
	conn.Close(websocket.StatusNormalClosure, "bye")
	if err := <-ended; websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Error(err)
	}
}

// What a program sends beyond its answer reaches nobody, and the connection takes no other request.
func TestAnAnswerIsTheLastOfItsConnection(t *testing.T) {
	b := start(t, nil)
	const smuggled = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
	for head, want := range map[string]string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" + smuggled:                            "hello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + smuggled: "5\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled:                "",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n" + smuggled:                       "",
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.0 200 OK\r\n\r\nall":                   "all",
	} {
		path := raw(t, func(conn net.Conn, r *bufio.Reader) {
			readHead(t, r)
			io.WriteString(conn, head)
		})
		conn, err := net.Dial("unix", b.socket)
		if err != nil {
			t.Fatal(err)
		}
		ask := "GET " + path + "/ HTTP/1.1\r\nHost: x\r\n" + wire.HeaderKey + ": " + key + "\r\n\r\n"
		io.WriteString(conn, ask+ask) // the second one is not answered
		all, err := io.ReadAll(conn)
		conn.Close()
		got, body, _ := strings.Cut(string(all), "\r\n\r\n")
		if err != nil || body != want || !strings.Contains(got, "\r\nConnection: close") || strings.Contains(string(all), "EVIL") {
			t.Errorf("%.60q: %q, %v; want the body %q", head, all, err, want)
		}
	}
}

func TestProgramsThatDoNotAnswer(t *testing.T) {
	b := start(t, nil)
	long := strings.Repeat("a", 64<<10)
	for answer, says := range map[string]string{
		"":              "without an answer",
		"SSH-2.0-x\r\n": "no HTTP",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n": "without being asked",
		strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 50):                             "announce",
		"HTTP/1.1 200 OK\r\nX: " + long + "\r\n\r\n":                                    "no HTTP",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd":         "no HTTP",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n":                   "no HTTP",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n":                                 "no HTTP",
	} {
		path := raw(t, func(conn net.Conn, r *bufio.Reader) {
			readHead(t, r)
			io.WriteString(conn, answer)
		})
		s := b.follow(b.request("GET", path+"/", ""))
		s.wantCode(t, sandbox.Lost)
		if s.err != nil && !strings.Contains(s.err.Error(), says) {
			t.Errorf("%.40q: %v, want %q", answer, s.err, says)
		}
	}
}

// A program may refuse a body that it has not read, and its client is to know why.
func TestAnEarlyRefusalArrives(t *testing.T) {
	b := start(t, nil)
	path := raw(t, func(conn net.Conn, r *bufio.Reader) {
		readHead(t, r)
		io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno\n")
	})
	for range 5 {
		status, body := b.send(b.request("PUT", path+"/", strings.Repeat("x", 8<<20)))
		if status != http.StatusRequestEntityTooLarge || body != "no\n" {
			t.Errorf("%d %q", status, body)
		}
	}
}

func TestACutAnswerIsSeenAsCut(t *testing.T) {
	b := start(t, nil)
	for _, answer := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"} {
		path := raw(t, func(conn net.Conn, r *bufio.Reader) {
			readHead(t, r)
			io.WriteString(conn, answer)
		})
		response, err := b.client.Do(b.request("GET", path+"/", ""))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(response.Body); err == nil {
			t.Errorf("%q and no error", got)
		}
		response.Body.Close()
	}
}

func TestHead(t *testing.T) {
	b := start(t, nil)
	path := program(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "77") })
	response, err := b.client.Do(b.request("HEAD", path+"/", ""))
	if err != nil || response.ContentLength != 77 {
		t.Fatalf("%+v, %v", response, err)
	}
	response.Body.Close()
}

// A stop does not wait for streams.
func TestAStopEndsWhatIsForwarded(t *testing.T) {
	b := start(t, func(c *server.Config) {})
	path := program(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	response, err := b.client.Do(b.request("GET", path+"/", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	began := time.Now()
	b.stop()
	if _, err := io.ReadAll(response.Body); err == nil {
		t.Error("the stream ended as if it were whole")
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
}
