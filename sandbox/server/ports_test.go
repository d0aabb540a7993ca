package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/testing/need"
)

const listenScript = `python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET6 if "%[1]s" == "::1" else socket.AF_INET)
s.bind(("%[1]s", 0)); s.listen()
print(s.getsockname()[1], flush=True)
while True: c, _ = s.accept(); c.sendall(b"hi"); c.close()
' > %[2]s & until [ -s %[2]s ]; do sleep 0.01; done; cat %[2]s`

func (b *box) listPorts() []wire.Port {
	b.t.Helper()
	status, body := b.do("GET", wire.PathPorts, "")
	var ports []wire.Port
	if err := json.Unmarshal([]byte(body), &ports); err != nil || status != http.StatusOK {
		b.t.Fatalf("%d %s, %v", status, body, err)
	}
	return ports
}

// The ports of the sandbox's programs are listed, and nobody else's.
func TestPortsAreListed(t *testing.T) {
	need.Tool(t, "python3")
	b := start(t, nil)
	if ports := b.listPorts(); len(ports) != 0 {
		t.Errorf("%+v, want none", ports)
	}
	other, err := net.Listen("tcp", "127.0.0.1:0") // of this process, which is not in the sandbox but its server
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	want := map[int]string{}
	for i, address := range []string{"127.0.0.1", "::1", "0.0.0.0"} {
		s := b.native("listen"+strconv.Itoa(i), run(fmt.Sprintf(listenScript, address, "port"+strconv.Itoa(i))))
		lines := strings.Fields(s.Content)
		if len(lines) == 0 {
			t.Fatalf("%+v", s)
		}
		port, err := strconv.Atoi(lines[len(lines)-1])
		if err != nil {
			if address == "::1" {
				continue // no IPv6 here
			}
			t.Fatalf("%q", s.Content)
		}
		want[port] = address
	}
	ports := b.listPorts()
	for _, p := range ports {
		if want[p.Port] != p.Address || p.PID == 0 || !strings.HasPrefix(p.Program, "python") {
			t.Errorf("%+v, want %q", p, want[p.Port])
		}
		status, body := b.do("GET", fmt.Sprintf("%s/%d", wire.PathPorts, p.Port), "")
		var one wire.Port
		if err := json.Unmarshal([]byte(body), &one); err != nil || status != http.StatusOK || one != p {
			t.Errorf("%d %s, want %+v", status, body, p)
		}
	}
	if len(ports) != len(want) {
		t.Errorf("%+v, want %v", ports, want)
	}
}

func TestPortsThatAreNone(t *testing.T) {
	b := start(t, nil)
	free := need.Port(t)
	for path, code := range map[string]sandbox.Code{
		"/0/": sandbox.Invalid, "/65536/": sandbox.Invalid, "/x/": sandbox.Invalid, "/": sandbox.Invalid, "/080/": sandbox.Invalid, "/+80/": sandbox.Invalid,
		fmt.Sprintf("/%d/", free):          sandbox.Unavailable,
		fmt.Sprintf("/%d", free):           sandbox.Unavailable,
		fmt.Sprintf("/%d?wait=0.05", free): sandbox.Unavailable,
		fmt.Sprintf("/%d?wait=x", free):    sandbox.Invalid,
		fmt.Sprintf("/%d?wait=1e9", free):  sandbox.Invalid,
		fmt.Sprintf("/%d?wait=NaN", free):  sandbox.Invalid,
	} {
		s := b.follow(b.request("GET", wire.PathPorts+path, ""))
		s.wantCode(t, code)
	}
	if status, _ := b.do("POST", fmt.Sprintf("%s/%d", wire.PathPorts, free), ""); status != http.StatusMethodNotAllowed {
		t.Errorf("status %d", status)
	}
	if status, _ := b.do("GET", fmt.Sprintf("%s/%d/", wire.PathPorts, free), "", wire.HeaderKey, "wrong"); status != http.StatusForbidden {
		t.Errorf("without the key: status %d", status)
	}
}

func TestAPortIsWaitedFor(t *testing.T) {
	b := start(t, nil)
	port := need.Port(t)
	told := make(chan int, 1)
	go func() {
		status, _ := b.do("GET", fmt.Sprintf("%s/%d?wait=20", wire.PathPorts, port), "")
		told <- status
	}()
	select {
	case status := <-told:
		t.Fatalf("status %d before anything listens", status)
	case <-time.After(100 * time.Millisecond):
	}
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if status := <-told; status != http.StatusOK {
		t.Errorf("status %d", status)
	}
}

func TestRedirectionsLeadThroughThePort(t *testing.T) {
	b := start(t, nil)
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	location := ""
	path := program(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusFound)
	})
	port := strings.TrimPrefix(path, wire.PathPorts+"/")
	for at, want := range map[string]string{
		"/login?x=1":                      path + "/login?x=1",
		"http://localhost:" + port + "/a": path + "/a",
		"http://127.0.0.1:" + port:        path + "/",
		"http://localhost:" + port + "9/": "http://localhost:" + port + "9/",
		"//elsewhere/":                    "//elsewhere/",
		"https://example.org/":            "https://example.org/",
		"relative":                        "relative",
	} {
		location = at
		response, err := b.client.Do(b.request("GET", path+"/", ""))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := response.Header.Get("Location"); got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
}

// Any protocol goes through a tunnel, in which either side may end what it says and listen on.
func TestATunnelToAPort(t *testing.T) {
	b := start(t, nil)
	path := raw(t, func(conn net.Conn, r *bufio.Reader) {
		io.WriteString(conn, "220 welcome\n") // the program speaks first
		all, _ := io.ReadAll(r)
		fmt.Fprintf(conn, "%d bytes\n", len(all))
	})
	conn, err := net.Dial("unix", b.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n%s: %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\nearly", path, wire.HeaderKey, key, wire.UpgradePort)
	in := bufio.NewReader(conn)
	if head := readHead(t, in); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
		t.Fatalf("%q", head)
	}
	if line, err := in.ReadString('\n'); line != "220 welcome\n" {
		t.Fatalf("%q, %v", line, err)
	}
	io.WriteString(conn, strings.Repeat("x", 1<<20))
	conn.(*net.UnixConn).CloseWrite()
	if rest, err := io.ReadAll(in); err != nil || string(rest) != fmt.Sprintf("%d bytes\n", 1<<20+5) {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestTheServerIsNoPortOfItsOwn(t *testing.T) {
	b := start(t, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.Serve(ln) }()
	path := fmt.Sprintf("%s/%d/alive", wire.PathPorts, ln.Addr().(*net.TCPAddr).Port)
	for {
		if s := b.follow(b.request("GET", path, "")); sandbox.CodeOf(s.err) == sandbox.Invalid {
			break
		} else if s.status != http.StatusOK { // Serve has not yet begun
			s.wantCode(t, sandbox.Invalid)
			break
		}
	}
	b.stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
