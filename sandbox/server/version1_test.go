package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox/wire"
)

// What a client of version 1 sent, byte for byte as it was recorded, and what it was answered: a client that was built
// then finds a server of today as it was.

// said is a request of that client, whose head was always the same.
func said(line, body string) string {
	head := line + " HTTP/1.1\r\nHost: sandbox\r\nSandtree-Version: 1\r\nX-Session-API-Key: " + key + "\r\nSandtree-Epoch: 7\r\nSandtree-Owner: old\r\n"
	if !strings.HasPrefix(line, "GET") {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	return head + "\r\n" + body
}

const (
	oldRun   = `{"message":"Running command: echo hi","action":"run","args":{"command":"echo hi","is_input":false,"thought":"","blocking":false,"is_static":false,"cwd":null,"hidden":false,"confirmation_state":"confirmed","security_risk":-1},"timeout":10.0}`
	oldWrite = `{"message":"Writing file: f","action":"write","args":{"path":"f","content":"x","start":0,"end":-1,"thought":"","security_risk":-1}}`
	ranHi    = `{"message":"Command ` + "`echo hi`" + ` executed with exit code 0.","observation":"run","content":"hi","extras":{"command":"echo hi","metadata":{"exit_code":0,"pid":-1,"username":"*","hostname":"*","working_dir":"*","py_interpreter_path":"*","prefix":"","suffix":"\n[The command completed with exit code 0.]"},"hidden":false},"success":true}`
	wroteF   = `{"message":"I wrote to the file *.","observation":"write","content":"","extras":{"path":"*"}}`
)

var local = regexp.MustCompile(`"(username|hostname|working_dir|py_interpreter_path|path|timestamp)":"[^"]*"|I wrote to the file [^"]*\.`)

// masked hides what depends on the machine and the time.
func masked(s string) string {
	return local.ReplaceAllStringFunc(s, func(m string) string {
		if name, _, ok := strings.Cut(m, `":`); ok {
			return name + `":"*"`
		}
		return "I wrote to the file *."
	})
}

func TestAClientOfVersion1(t *testing.T) {
	b := start(t, nil)
	conn, err := net.Dial("unix", b.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for _, c := range []struct {
		request string
		status  int
		want    string // frames as "type:payload", else the body
	}{
		{said("GET /alive", ""), 200, `{"status":"ok"}`},
		{said("POST /v1/lease", ""), 204, ""},
		{said("POST /v1/actions/a", oldRun), 200, "o:hi\r\n|d:" + ranHi},
		{said("POST /v1/actions/a", oldRun), 200, "o:hi\r\n|d:" + ranHi},
		{said("GET /v1/actions/a?offset=1", ""), 200, "o:i\r\n|d:" + ranHi},
		{said("POST /v1/actions/b", oldWrite), 200, "d:" + wroteF},
		{said("GET /v1/actions/c", ""), 404, `{"error":{"code":"not_found","message":"it was never received","details":{"op":"action"},"timestamp":"*"}}`},
		{said("POST /v1/actions/a", oldWrite), 409, `{"error":{"code":"conflict","message":"action \"a\" was another one before","details":{"op":"ledger.Begin"},"timestamp":"*"}}`},
		{said("PUT /v1/files?path=g", "content"), 204, ""},
		{said("GET /v1/files?path=g", ""), 200, "content"},
		{said("GET /v1/list?path=", ""), 200, `["f","g"]`},
		{said("PUT /v1/env", "A=b\x00"), 204, ""},
	} {
		line, _, _ := strings.Cut(c.request, " HTTP")
		if _, err := io.WriteString(conn, c.request); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		got := string(body)
		if strings.HasPrefix(c.want, "o:") || strings.HasPrefix(c.want, "d:") {
			got = frames(t, got)
		}
		if got = masked(got); response.StatusCode != c.status || got != c.want {
			t.Errorf("%s: %d\n got %s\nwant %d\n     %s", line, response.StatusCode, got, c.status, c.want)
		}
	}
	// What was done in version 1 is told in version 2, and the other way round.
	if s := b.again("a", 0); s.exit() != 0 || s.Content != "hi" {
		t.Errorf("%+v", s)
	}
	native := `{"type":"run","content":{"command":"echo hi"},"timeout":10}`
	if s := b.follow(b.request("POST", wire.PathActions+"n", native)); s.exit() != 0 {
		t.Errorf("%+v", s)
	}
	if status, got := b.do("GET", wire.PathActions+"n", "", wire.HeaderVersion, "1"); status != 200 || masked(frames(t, got)) != "o:hi\r\n|d:"+ranHi {
		t.Errorf("%d %s", status, frames(t, got))
	}
	if _, got := b.do("GET", wire.PathActions+"n", ""); !strings.Contains(frames(t, got), `d:{"type":"observation.run"`) {
		t.Errorf("in version 2: %s", frames(t, got))
	}
}

// frames writes frames as "type:payload", without heartbeats, output in one.
func frames(t *testing.T, body string) string {
	t.Helper()
	var out, last string
	for r := wire.NewFrameReader(strings.NewReader(body)); ; {
		f, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch f.Type {
		case wire.FrameHeartbeat:
		case wire.FrameOutput:
			out += string(f.Payload)
		default:
			last = string(f.Type) + ":" + string(f.Payload)
		}
	}
	if out != "" {
		return "o:" + out + "|" + last
	}
	return last
}
