package runtimetest

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// shouldRows are what agents rely on and no test of OpenHands demands.
var shouldRows = []Row{
	{Name: "delta semantics", About: "a poll brings what is new and nothing else", Needs: []string{"bash"}, run: func(s *site) {
		s.within(1, "for i in 1 2 3; do echo tick $i; sleep 1.5; done").is("tick 1")
		s.within(1.5, "").is("tick 2")
		s.within(10, "").exits(0).is("tick 3")
	}},
	{Name: "hidden", About: "hidden output is whole, and marked", Needs: []string{"bash"}, run: func(s *site) {
		r := s.perform(sandbox.RunArgs{Command: "printf '%040000d' 7", Hidden: true}, clientTimeout).exits(0)
		if len(r.text) != 40000 || !r.result.Hidden {
			s.Errorf("%d characters, hidden %v", len(r.text), r.result.Hidden)
		}
	}},
	{Name: "is_static isolation", About: "a shell of its own, in cwd; the main one is as it was", Needs: []string{"bash"}, run: func(s *site) {
		s.cmd("mkdir -p there && export MINE=main && cd there").exits(0)
		static := func(command, cwd string) ran {
			return s.perform(sandbox.RunArgs{Command: command, IsStatic: true, Cwd: cwd}, clientTimeout)
		}
		static(`pwd; echo "[$MINE]"; export MINE=static; cd /`, s.dir).exits(0).is(s.dir + "\n[]")
		static("pwd", "").exits(0).is(s.dir)
		static("pwd", s.in("there")).exits(0).is(s.in("there"))
		s.cmd("pwd; echo $MINE").exits(0).is(s.in("there") + "\nmain")
	}},
	{Name: "static while busy", About: "a static command runs beside one that takes long", Needs: []string{"bash"}, run: func(s *site) {
		s.within(0.5, "sleep 20").exits(-1)
		s.perform(sandbox.RunArgs{Command: "echo beside", IsStatic: true}, clientTimeout).exits(0).is("beside")
		s.cmd("ls").exits(-1).suffix("is NOT executed")
	}},
	{Name: "tabs and carriage returns", About: "as a terminal shows them", Needs: []string{"bash"}, run: func(s *site) {
		s.cmd(`printf 'a\tb\tc\n'; for i in 10 50 100; do printf '%3d%%\r' $i; done; echo`).exits(0).is("a       b       c\n100%")
	}},
	{Name: "pid", About: "of the latest job in the background", Needs: []string{"bash"}, run: func(s *site) {
		s.cmd("sleep 5 &").exits(0)
		r := s.cmd("echo $!").exits(0)
		if got := fmt.Sprint(r.meta.PID); got != strings.TrimSpace(r.text) {
			r.fail("pid is %s", got)
		}
	}},
	{Name: "key names", About: "Enter, Escape, arrows as inputs", Needs: []string{"bash"}, want: Want{Soft: time.Second}, run: func(s *site) {
		kernel := s.cmd(whichKernel).text
		s.cmd(`read x; echo "[$x]"`).exits(-1)
		s.input("Enter").exits(0).is("[]")
		s.cmd("cat -v").exits(-1)
		s.input("Escape").exits(-1).has(control("^[", kernel))
		s.input("Up").exits(-1).has(control("^[[A", kernel))
		s.input("C-d")
		s.within(5, "true")
	}},
	{Name: "MCP", About: "the same tool servers at /mcp/sse and /sse; replaced by the next update", Needs: []string{"python3"}, run: mcpBoth, lacks: func(s *site, _ string) {
		s.post("/update_mcp_server", `[{"name":"one","command":"no-such-program","args":[],"env":{}}]`).has(200, `"detail":"MCP server updated successfully"`)
		s.post("/update_mcp_server", `{}`).is(400, `{"detail":"Request must be a list of MCP tools to sync"}`)
	}},
	{Name: "editor history", About: "undo goes back ten edits, one by one", run: func(s *site) {
		p := s.in("f")
		s.edit("create", p, arg("file_text", "v0"))
		for i := range 4 {
			s.edit("str_replace", p, arg("old_str", fmt.Sprintf("v%d", i)), arg("new_str", fmt.Sprintf("v%d", i+1))).has("has been edited")
		}
		for i := 3; i >= 0; i-- {
			s.edit("undo_edit", p).has("undone successfully", fmt.Sprintf("1\tv%d", i))
		}
	}},
	{Name: "VS Code", About: "a token where VS Code runs, else null", run: func(s *site) {
		if a := s.get("/vscode/connection_token"); a.status != 200 || !regexp.MustCompile(`^\{"token":(null|"[0-9a-f-]+")\}$`).MatchString(a.body) {
			a.fail("want a token or null")
		}
	}},
}

// toolServer is an MCP server of one tool, in Python without any library.
const toolServer = `import json, sys
for text in sys.stdin:
    m = json.loads(text)
    if "id" not in m:
        continue
    if m["method"] == "initialize":
        r = {"protocolVersion": m["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": sys.argv[1], "version": "1"}}
    elif m["method"] == "tools/list":
        r = {"tools": [{"name": sys.argv[1] + "_echo", "description": "echoes", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}}]}
    elif m["method"] == "tools/call":
        r = {"content": [{"type": "text", "text": m["params"]["arguments"].get("text", "")}], "isError": False}
    else:
        r = {}
    print(json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": r}), flush=True)
`

func mcpBoth(s *site) {
	p := s.in("tools.py")
	s.copyTo("tools.py", strings.TrimSuffix(p, "/tools.py"), toolServer)
	s.post("/update_mcp_server", `{}`).is(400, `{"detail":"Request must be a list of MCP tools to sync"}`)
	for _, name := range []string{"alpha", "beta"} { // the second update replaces the first
		s.post("/update_mcp_server", `[{"name":"`+name+`","command":"python3","args":["`+p+`","`+name+`"],"env":{}}]`).
			has(200, `"detail":"MCP server updated successfully"`, `"router_error_log":"`)
		for _, at := range []string{"/mcp/sse", "/sse"} {
			mcpTools(s, at, name+"_echo")
		}
	}
}

// mcpTools asks for the tools at an SSE endpoint, and calls one.
func mcpTools(s *site, at, tool string) {
	s.Helper()
	ctx, cancel := context.WithCancel(s.context())
	defer cancel()
	events := s.sse(ctx, at)
	endpoint := events()
	if !regexp.MustCompile(`^endpoint (/[a-z]+)?/messages/\?session_id=[0-9a-f]{32}$`).MatchString(endpoint) {
		s.Fatalf("%s begins with %q", at, endpoint)
	}
	target := strings.TrimPrefix(endpoint, "endpoint ")
	say := func(message string) {
		if a := s.ask(s.Key, "POST", target, message, "Authorization: Bearer "+s.Key); a.status != 202 {
			a.fail("want 202")
		}
	}
	say(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
	s.wantContains("the answer to initialize", events(), `"protocolVersion":"2025-03-26"`)
	say(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	say(`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`)
	s.wantContains("the tools at "+at, events(), `"`+tool+`"`)
	say(`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"` + tool + `","arguments":{"text":"hello there"}}}`)
	s.wantContains("what the tool says", events(), "hello there")
}

// sse opens a stream of events and gives a function for the next one, "name data".
func (s *site) sse(ctx context.Context, at string) func() string {
	s.Helper()
	r, err := http.NewRequestWithContext(ctx, "GET", "http://sandbox"+at, nil)
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("X-Session-API-Key", s.Key)
	r.Header.Set("Authorization", "Bearer "+s.Key)
	r.Header.Set("Accept", "text/event-stream")
	response, err := s.web().HTTP.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { response.Body.Close() })
	if response.StatusCode != 200 || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		s.Fatalf("%s: status %d, %s", at, response.StatusCode, response.Header.Get("Content-Type"))
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	return func() string {
		s.Helper()
		name, data := "", ""
		for lines.Scan() {
			switch field, value, _ := strings.Cut(lines.Text(), ":"); {
			case field == "event":
				name = strings.TrimSpace(value)
			case field == "data":
				data += strings.TrimSpace(value)
			case lines.Text() == "" && strings.Contains(data, `"method":"notifications/`):
				name, data = "", ""
			case lines.Text() == "" && data != "":
				return name + " " + data
			}
		}
		s.Fatalf("%s ended: %v", at, lines.Err())
		return ""
	}
}
