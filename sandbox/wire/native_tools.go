package wire

import (
	"encoding/json"
	"time"
)

// VersionInfo tells which versions of the native form the server speaks.
type VersionInfo struct {
	Newest int    `json:"newest"`
	Oldest int    `json:"oldest"`
	Server string `json:"server"` // name and version of the program, as "sandboxd v1.2.3"
}

// Info tells of the server and its sandbox.
type Info struct {
	Server    string          `json:"server"`
	Version   int             `json:"version"` // newest of the native form
	Started   time.Time       `json:"started"`
	Uptime    float64         `json:"uptime"` // seconds
	Idle      float64         `json:"idle"`   // seconds since the last action was received or ended; 0 while one runs
	User      string          `json:"user"`   // whose the shells are
	Workspace string          `json:"workspace"`
	Browser   string          `json:"browser,omitempty"`   // how Chromium is confined: "sandbox", "no-sandbox"; "" if it was not started
	Resources json.RawMessage `json:"resources,omitempty"` // as in /server_info
	Troubles  []string        `json:"troubles,omitempty"`  // as "out of memory", "disk full": a sentence each
}

// KernelSpec says what kernel to start.
type KernelSpec struct {
	Language string `json:"language,omitempty"` // a Jupyter kernel's name or language: "python3", "bash"; "" is python3
}

// Kernel is a Jupyter kernel.
type Kernel struct {
	Name     string    `json:"name"`
	Language string    `json:"language"`
	State    string    `json:"state"` // starting, idle, busy, dead
	PID      int       `json:"pid,omitempty"`
	Started  time.Time `json:"started"`
	Cells    int       `json:"cells"`           // executed since the start
	Error    string    `json:"error,omitempty"` // why it is dead
}

// MCPServerSpec is an MCP server: a program (Command), or an address (URL).
type MCPServerSpec struct {
	Name      string            `json:"name"`
	Command   string            `json:"command,omitempty"`
	Args      []string          `json:"args,omitempty"`
	Env       map[string]string `json:"env,omitempty"`
	URL       string            `json:"url,omitempty"`
	Transport string            `json:"transport,omitempty"` // of a URL: "http" (streamable), "sse"; "" finds out
	Headers   map[string]string `json:"headers,omitempty"`   // of every request to URL
}

// MCPServer is the state of one.
type MCPServer struct {
	Name      string     `json:"name"`
	Transport string     `json:"transport"` // stdio, http, sse
	State     string     `json:"state"`     // starting, ready, failed, waiting (for its next start)
	Tools     int        `json:"tools"`
	Restarts  int        `json:"restarts"`
	Next      *time.Time `json:"next,omitempty"`  // of the next start
	Error     string     `json:"error,omitempty"` // the last failure
}

// MCPTool is a tool of an MCP server, under the name that an action calls it by.
type MCPTool struct {
	Name        string          `json:"name"`
	Server      string          `json:"server"`
	Description string          `json:"description,omitempty"`
	InputSchema json.RawMessage `json:"input_schema,omitempty"` // JSON Schema
}

// Port is one that something in the sandbox listens at.
type Port struct {
	Port    int    `json:"port"`
	Address string `json:"address"` // "127.0.0.1", "0.0.0.0", "::"
	PID     int    `json:"pid,omitempty"`
	Program string `json:"program,omitempty"` // name of the process; absent if it cannot be seen
}
