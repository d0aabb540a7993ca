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
	Oldest    int             `json:"oldest"`  // of those that are spoken
	Started   time.Time       `json:"started"`
	Uptime    float64         `json:"uptime"` // seconds
	Idle      float64         `json:"idle"`   // seconds since the last action was received or ended; 0 while one runs
	User      string          `json:"user"`   // whose the shells are
	Workspace string          `json:"workspace"`
	Browser   string          `json:"browser,omitempty"`   // how Chromium is confined: "sandbox", "no-sandbox"; "" if it was not started
	Resources json.RawMessage `json:"resources,omitempty"` // as in /server_info
	Disk      Disk            `json:"disk"`                // where the workspace is
	Killed    uint64          `json:"out_of_memory_kills"` // processes that the kernel has killed for want of memory since the start
	Limits    InfoLimits      `json:"limits"`
	Plugins   []Plugin        `json:"plugins"`            // those that were asked for
	Troubles  []string        `json:"troubles,omitempty"` // as "out of memory", "disk full": a sentence each
}

// Disk is a file system, in bytes.
type Disk struct {
	Total uint64 `json:"total"`
	Free  uint64 `json:"free"` // for whom the server runs as
}

// InfoLimits are the bounds of the server itself.
type InfoLimits struct {
	Waiting   int    `json:"waiting"`             // actions with an id that may wait or run
	Body      int64  `json:"body"`                // bytes of a request that is no upload
	Output    int    `json:"output"`              // bytes held of one action's output
	Forwards  int    `json:"forwards"`            // connections to ports
	Processes int    `json:"processes,omitempty"` // of programs; absent if the server does not bound them
	Memory    uint64 `json:"memory,omitempty"`    // bytes that programs may have together; absent if there is no bound, or none to be seen
}

// Plugin is what an OpenHands client asks for by name.
type Plugin struct {
	Name  string `json:"name"`
	State string `json:"state"`           // ready, starting, off
	Error string `json:"error,omitempty"` // why it is off, and what to do
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
	State     string     `json:"state"`     // idle (not used yet), starting, ready, waiting (for its next start), failed (waits to be used again)
	Since     time.Time  `json:"since"`     // of the state
	PID       int        `json:"pid,omitempty"`
	Tools     int        `json:"tools"`
	Prompts   int        `json:"prompts"`
	Resources int        `json:"resources"`
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
