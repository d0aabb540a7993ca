package main

import (
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/sandtree/sandtree/sandbox/mcp"
)

// maxMCPConfig is the most that the file may have, in bytes: it is read whole.
const maxMCPConfig = 1 << 20

func (f *flags) addMCP(s *pflag.FlagSet) {
	s.StringVar(&f.mcpConfig, "mcp-config", "", `file of tool servers: {"mcpServers": {NAME: {"command", "args", "env"} or {"url", "type", "headers"}}}`)
}

// toolServers reads them. Code: Invalid.
func (f *flags) toolServers() ([]mcp.Server, error) {
	if f.mcpConfig == "" {
		return nil, nil
	}
	info, err := os.Stat(f.mcpConfig)
	if err == nil && info.Size() > maxMCPConfig {
		err = fmt.Errorf("%s has %d bytes: at most %d are read", f.mcpConfig, info.Size(), maxMCPConfig)
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(f.mcpConfig)
	}
	var servers []mcp.Server
	if err == nil {
		servers, err = mcp.ParseConfig(b)
	}
	if err != nil {
		return nil, invalid("--mcp-config", err)
	}
	return servers, nil
}
