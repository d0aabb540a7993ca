package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
)

func TestToolServersFromAFile(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ content, want string }{
		"good":    {`{"mcpServers":{"b":{"command":"npx","args":["x"]},"a":{"url":"https://h/mcp"}}}`, "a b"},
		"empty":   {`{"mcpServers":{}}`, ""},
		"bad":     {`{"mcpServers":{"a":{}}}`, "error"},
		"no JSON": {`mcpServers`, "error"},
		"long":    {strings.Repeat(" ", maxMCPConfig+1), "error"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, name)
			if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := parse([]string{"--listen", "unix:/x", "--mcp-config", file}, nil)
			if err != nil {
				t.Fatal(err)
			}
			config, err := f.config(nil, "", slog.New(slog.DiscardHandler))
			var names []string
			for _, s := range config.MCP {
				names = append(names, s.Name)
			}
			if failed := c.want == "error"; failed != (sandbox.CodeOf(err) == sandbox.Invalid) || !failed && (err != nil || strings.Join(names, " ") != c.want) {
				t.Errorf("%q, %v; want %q", names, err, c.want)
			}
		})
	}
}
