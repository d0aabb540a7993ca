package mcp_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// nasty are messages that a server may send unasked.
var nasty = []string{
	`{"jsonrpc":"2.0","method":"notifications/message"}`,
	`{"jsonrpc":"2.0","method":"notifications/message","params":null}`,
	`{"jsonrpc":"2.0","method":"notifications/message","params":[]}`,
	`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"no such","data":null}}`,
	`{"jsonrpc":"2.0","method":"notifications/progress"}`,
	`{"jsonrpc":"2.0","method":"notifications/progress","params":null}`,
	`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"sandtree-1","progress":1e308}}`,
	`{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":null}`,
	`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":null}`,
	`{"jsonrpc":"2.0","method":"notifications/resources/updated"}`,
	`{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":null}`,
	`{"jsonrpc":"2.0","method":"notifications/cancelled","params":null}`,
	`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{}}}`,
	`{"jsonrpc":"2.0","method":"notifications/no_such"}`,
	`{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage","params":null}`,
	`{"jsonrpc":"2.0","id":8,"method":"sampling/createMessage","params":{"messages":[null]}}`,
	`{"jsonrpc":"2.0","id":9,"method":"elicitation/create","params":null}`,
	`{"jsonrpc":"2.0","id":"x","method":"roots/list"}`,
	`{"jsonrpc":"2.0","id":10,"method":"tools/call","params":{}}`,
	`{"jsonrpc":"2.0","id":99999,"result":{}}`,
	`{"jsonrpc":"2.0","id":null,"error":null}`,
	`{"jsonrpc":"1.0","id":1}`,
	`[{"jsonrpc":"2.0","method":"x"},1]`,
	strings.Repeat("[", 20000),
}

// answers are those of a server that means no good, by method.
var answers = map[string]string{
	"initialize": `{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true},"prompts":{},"resources":{"subscribe":true},"logging":{},"completions":{}},"serverInfo":{"name":"h","version":"1"}}`,
	"tools/list": `{"tools":[null,{"name":"good","inputSchema":{"type":"object"}},{"name":"","inputSchema":{}},{"name":"none"},
		{"name":"list","inputSchema":[1]},{"name":"text","inputSchema":"x"},{"name":"type","inputSchema":{"type":"string"}},
		{"name":"good","inputSchema":{"type":"object"},"description":"again"},{"name":"out","inputSchema":{"type":"object"},"outputSchema":7},
		{"name":"header","inputSchema":{"type":"object","properties":{"a":{"type":"object","x-mcp-header":"X"}}}},
		{"name":"properties","inputSchema":{"type":"object","properties":[]}},{"name":"sp ace\n","inputSchema":{"type":"object"}}]}`,
	"prompts/list":             `{"prompts":[null,{"name":"p","arguments":[null]},{}]}`,
	"resources/list":           `{"resources":[null,{"uri":":"},{"uri":"relative"},{"uri":"x://y"},{"uri":"http://[::1"},{}]}`,
	"resources/templates/list": `{"resourceTemplates":[null,{"uriTemplate":"{"},{"uriTemplate":"{+a}{/b*}"},{}]}`,
	"tools/call":               `{"content":[null,{"type":"no such"},{"type":"text"}],"structuredContent":[]}`,
	"prompts/get":              `{"messages":[null,{"role":"x","content":null}]}`,
	"resources/read":           `{"contents":[null]}`,
	"completion/complete":      `null`,
}

func beHostile() int {
	fmt.Println(strings.Join(nasty, "\n"))
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var m struct {
			ID     json.RawMessage
			Method string
		}
		if json.Unmarshal(in.Bytes(), &m) != nil || m.ID == nil || m.Method == "" {
			continue
		}
		answer := answers[m.Method]
		if answer == "" {
			answer = "{}"
		}
		fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":%s}`+"\n", m.ID, strings.Join(strings.Fields(answer), " "))
		fmt.Println(strings.Join(nasty, "\n"))
	}
	return 0
}

// TestNothingThatServersSayIsDangerous: whatever comes back, this process lives and the good tool can be seen.
func TestNothingThatServersSayIsDangerous(t *testing.T) {
	h := open(t, acting(t, "a", "hostile"), acting(t, "b", "plain"))
	for _, path := range []string{"/sse", "/mcp"} {
		s := connect(t, h, path, nil)
		names := strings.Join(toolsOf(t, s), " ")
		if !strings.Contains(names, "a_good") || !strings.Contains(names, "b_who") {
			t.Errorf("tools %s; %+v", names, h.Servers())
		}
		_, _ = s.ListPrompts(t.Context(), nil)
		_, _ = s.ListResources(t.Context(), nil)
		_, _ = s.ListResourceTemplates(t.Context(), nil)
		_, _ = s.CallTool(t.Context(), &sdk.CallToolParams{Name: "a_good"})
		_, _ = s.GetPrompt(t.Context(), &sdk.GetPromptParams{Name: "a_p"})
		_, _ = s.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: "x://y"})
		_ = s.Subscribe(t.Context(), &sdk.SubscribeParams{URI: "x://y"})
		_, _ = s.Complete(t.Context(), &sdk.CompleteParams{Ref: &sdk.CompleteReference{Type: "ref/prompt", Name: "a_p"}, Argument: sdk.CompleteParamsArgument{Name: "x"}})
		if _, err := h.Call(t.Context(), "a_good", nil); err != nil {
			t.Logf("the native call: %v", err)
		}
	}
	if got := native(t, h, "b_who"); !strings.HasPrefix(got, "plain ") {
		t.Errorf("the other server says %q", got)
	}
}
