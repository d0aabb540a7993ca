package mcp_test

import (
	"encoding/json"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/mcp"
	"github.com/sandtree/sandtree/testing/need"
)

func TestElements(t *testing.T) {
	for _, c := range []struct{ in, command, args, env string }{
		{`[{"name":"a-B_1","command":"npx"}]`, "npx", "", ""},
		{`[{"name":" a ","command":" npx ","args":["-y","x y"],"env":{"K":"v"},"other":1}]`, "npx", "-y|x y", "K=v"},
		{`[{"name":"a","command":"npx","args":null,"env":null}]`, "npx", "", ""},
		{`[{"name":"a","command":"c","args":"--x 'a b' \"c\\\"d\" e\\ f ''"}]`, "c", `--x|a b|c"d|e f|`, ""},
		{`[{"name":"a","command":"c","args":"  ","env":"  "}]`, "c", "", ""},
		{`[{"name":"a","command":"c","env":"A=1, _b2 = x=y ,,"}]`, "c", "", "A=1,_b2= x=y"},
		{`[{"name":"a","command":"old"},{"name":"a","command":"new"}]`, "new", "", ""},
		{`[{"name":"","command":"c"}]`, "", "", ""},
		{`[{"name":"  ","command":"c"}]`, "", "", ""},
		{`[{"name":"a b","command":"c"}]`, "", "", ""},
		{`[{"name":"ä","command":"c"}]`, "", "", ""},
		{`[{"name":"a","command":""}]`, "", "", ""},
		{`[{"name":"a","command":"c d"}]`, "", "", ""},
		{`[{"name":"a"}]`, "", "", ""},
		{`[{"name":1,"command":"c"}]`, "", "", ""},
		{`["a"]`, "", "", ""},
		{`[null]`, "", "", ""},
		{`{}`, "", "", ""},
		{`[{"name":"a","command":"c","args":"'"}]`, "", "", ""},
		{`[{"name":"a","command":"c","args":"\\"}]`, "", "", ""},
		{`[{"name":"a","command":"c","args":[1]}]`, "", "", ""},
		{`[{"name":"a","command":"c","args":[null]}]`, "", "", ""},
		{`[{"name":"a","command":"c","args":{}}]`, "", "", ""},
		{`[{"name":"a","command":"c","env":"A"}]`, "", "", ""},
		{`[{"name":"a","command":"c","env":"=1"}]`, "", "", ""},
		{`[{"name":"a","command":"c","env":"1A=1"}]`, "", "", ""},
		{`[{"name":"a","command":"c","env":{"A":1}}]`, "", "", ""},
		{`[{"name":"a","command":"c","env":["A=1"]}]`, "", "", ""},
		{`[{"name":"a","command":"c","args":["\u0000"]}]`, "", "", ""},
	} {
		got, err := mcp.ParseElements([]byte(c.in))
		if c.command == "" {
			if sandbox.CodeOf(err) != sandbox.Invalid {
				t.Errorf("%s: %+v, %v; want it refused", c.in, got, err)
			}
			continue
		}
		want := mcp.Server{Name: strings.TrimSpace(got[0].Name), Type: mcp.Stdio, Command: c.command}
		if c.args != "" {
			want.Args = strings.Split(c.args, "|")
		}
		if c.env != "" {
			want.Env = map[string]string{}
			for pair := range strings.SplitSeq(c.env, ",") {
				k, v, _ := strings.Cut(pair, "=")
				want.Env[k] = v
			}
		}
		if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("%s: %+v, %v; want %+v", c.in, got, err, want)
		}
	}
}

func TestConfigFile(t *testing.T) {
	got, err := mcp.ParseConfig([]byte(`{"mcpServers": {
		"b": {"command": "npx", "args": ["-y"], "env": {"K": "v"}, "autoApprove": []},
		"a": {"url": "https://x.example/mcp", "headers": {"Authorization": "Bearer k"}},
		"c": {"url": "http://x.example/sse/"},
		"d": {"url": "http://x.example/x", "type": "streamable-http"},
		"e": {"url": "http://x.example/x", "transport": "SSE"},
		"f": {"command": "x", "disabled": true}}}`))
	want := []mcp.Server{
		{Name: "a", Type: mcp.HTTP, URL: "https://x.example/mcp", Headers: map[string]string{"Authorization": "Bearer k"}},
		{Name: "b", Type: mcp.Stdio, Command: "npx", Args: []string{"-y"}, Env: map[string]string{"K": "v"}},
		{Name: "c", Type: mcp.SSE, URL: "http://x.example/sse/"},
		{Name: "d", Type: mcp.HTTP, URL: "http://x.example/x"},
		{Name: "e", Type: mcp.SSE, URL: "http://x.example/x"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, in := range []string{``, `[]`, `{}`, `{"mcpServers":null}`, `{"mcpServers":{"a":{}}}`, `{"mcpServers":{"a b":{"command":"x"}}}`,
		`{"mcpServers":{"a":{"command":"x","url":"http://y"}}}`, `{"mcpServers":{"a":{"command":"x","type":"sse"}}}`,
		`{"mcpServers":{"a":{"url":"file:///etc/passwd"}}}`, `{"mcpServers":{"a":{"url":"http://"}}}`, `{"mcpServers":{"a":{"url":"http://x","type":"ws"}}}`,
		`{"mcpServers":{"a":{"url":"http://x","headers":{"A B":"c"}}}}`, `{"mcpServers":{"a":{"url":"http://x","headers":{"A":"c\r\nB: d"}}}}`} {
		if got, err := mcp.ParseConfig([]byte(in)); sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("%s: %+v, %v; want it refused", in, got, err)
		}
	}
}

// TestArgsLikePython holds the splitting of arguments against the original's.
func TestArgsLikePython(t *testing.T) {
	python := need.Tool(t, "python3")
	var lines []string
	alphabet := []string{"a", " ", "'", `"`, `\`, "\t", "ä", "#"}
	var grow func(string, int)
	grow = func(s string, n int) {
		lines = append(lines, s)
		if n > 0 {
			for _, c := range alphabet {
				grow(s+c, n-1)
			}
		}
	}
	grow("x", 4)
	in, _ := json.Marshal(lines)
	cmd := exec.CommandContext(t.Context(), python, "-c", `
import json, shlex, sys
def split(s):
    try: return shlex.split(s.strip())
    except ValueError: return None
print(json.dumps([split(s) for s in json.load(sys.stdin)]))`)
	cmd.Stdin = strings.NewReader(string(in))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want [][]string
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	for i, line := range lines {
		element, _ := json.Marshal([]map[string]string{{"name": "a", "command": "c", "args": line}})
		got, err := mcp.ParseElements(element)
		if (err != nil) != (want[i] == nil) {
			t.Errorf("%q: %v, want %q", line, err, want[i])
		} else if err == nil && strings.Join(got[0].Args, "|") != strings.Join(want[i], "|") {
			t.Errorf("%q: %q, want %q", line, got[0].Args, want[i])
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(`[{"name":"a","command":"c","args":"--x 'a b'","env":"K=v"}]`))
	f.Add([]byte(`[{"name":"a","command":"c","args":["x"],"env":{"K":"v"}}]`))
	f.Add([]byte(`{"mcpServers":{"a":{"url":"https://x/sse","headers":{"K":"v"}},"b":{"command":"c"}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, parse := range []func([]byte) ([]mcp.Server, error){mcp.ParseElements, mcp.ParseConfig} {
			servers, err := parse(b)
			if err != nil {
				if sandbox.CodeOf(err) != sandbox.Invalid {
					t.Errorf("code of %v", err)
				}
				continue
			}
			seen := map[string]bool{}
			for _, s := range servers {
				if s.Name == "" || seen[s.Name] || strings.ContainsAny(s.Name, " /\x00\n") {
					t.Errorf("name %q", s.Name)
				}
				seen[s.Name] = true
				if (s.Command == "") == (s.URL == "") || strings.ContainsAny(s.Command, " \x00") {
					t.Errorf("server %+v", s)
				}
				for k, v := range s.Env {
					if sandbox.CheckEnv(k, v) != nil {
						t.Errorf("variable %q=%q", k, v)
					}
				}
			}
			if _, err := mcp.New(mcp.Config{}, servers); err != nil {
				t.Errorf("what was parsed is refused: %v", err)
			}
		}
	})
}
