package mcp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// asked is what a server may ask of its client.
var asked = map[string]string{
	"roots/list":             `{}`,
	"sampling/createMessage": `{"messages":[{"role":"user","content":{"type":"text","text":"Who am I?"}}],"maxTokens":10}`,
	"elicitation/create":     `{"message":"Your name?","requestedSchema":{"type":"object","properties":{"name":{"type":"string"}}}}`,
}

// ask is a server whose tool asks its client for all that there is, and answers with the answers; or which asks by its answer,
// as the newest protocol has it.
func ask(byAnswer bool) int {
	answers, call := []string{}, json.RawMessage(nil)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var m struct {
			ID     json.RawMessage
			Method string
			Error  struct{ Message string }
		}
		if json.Unmarshal(in.Bytes(), &m) != nil || m.ID == nil {
			continue
		}
		switch m.Method {
		case "initialize":
			fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"a","version":"1"}}}`+"\n", m.ID)
		case "tools/list":
			fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"ask","inputSchema":{"type":"object"}}]}}`+"\n", m.ID)
		case "tools/call":
			if byAnswer {
				fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":{"resultType":"input_required","inputRequests":{"x":{"method":"elicitation/create","params":%s}}}}`+"\n",
					m.ID, asked["elicitation/create"])
				continue
			}
			call, answers = m.ID, nil
			for method, params := range asked {
				fmt.Printf(`{"jsonrpc":"2.0","id":%q,"method":%q,"params":%s}`+"\n", method, method, params)
			}
		case "": // an answer
			if answers = append(answers, m.Error.Message); len(answers) < len(asked) {
				continue
			}
			text, _ := json.Marshal(strings.Join(answers, "\n"))
			fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":%s}]}}`+"\n", call, text)
		default:
			fmt.Printf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no"}}`+"\n", m.ID)
		}
	}
	return 0
}

// Servers that ask something of their client, whether a request or an answer says so, are told at once that nobody hears it.
func TestServersThatAskTheirClient(t *testing.T) {
	for act, times := range map[string]int{"asking": len(asked), "asking by its answer": 1} {
		t.Run(act, func(t *testing.T) {
			h := open(t, acting(t, "a", act))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var got string
			for _, path := range []string{"/sse", "/mcp"} {
				if r, err := connect(t, h, path, nil).CallTool(ctx, &sdk.CallToolParams{Name: "ask"}); err != nil {
					got = err.Error()
				} else {
					got = text(r)
				}
				if strings.Count(got, "is not supported here") != times {
					t.Errorf("by %s: %q", path, got)
				}
			}
			b, err := h.Call(ctx, "ask", nil)
			if got = string(b); err != nil {
				got = err.Error()
			}
			if strings.Count(got, "is not supported here") != times {
				t.Errorf("as an action: %q", got)
			}
			for method := range asked {
				if act == "asking" && !strings.Contains(got, method+" is not") {
					t.Errorf("nothing about %s: %q", method, got)
				}
			}
		})
	}
}
