package wire

import "time"

// SessionSpec says what session to start.
type SessionSpec struct {
	Kind string            `json:"kind,omitempty"` // "pty": an interactive bash on a terminal; "pipe": a bash on pipes, faster; "" is pty
	Cwd  string            `json:"cwd,omitempty"`  // "" is the workspace
	Env  map[string]string `json:"env,omitempty"`  // beyond that of all sessions
}

// Session is a shell with a state of its own.
type Session struct {
	Name    string    `json:"name"` // "" is the main one
	Kind    string    `json:"kind"` // pty, pipe
	Cwd     string    `json:"cwd"`  // as it was after the last command
	Busy    bool      `json:"busy"` // an action runs in it or waits for it
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Used    time.Time `json:"used"` // when an action last began in it; Started if none has
}

// Command is a program to run outside of any session. Either Argv or Command is set.
type Command struct {
	ID      string            `json:"id,omitempty"`      // 1 to 64 of a-z A-Z 0-9 - _ .; the same id with the same Command starts nothing again
	Argv    []string          `json:"argv,omitempty"`    // the program and its arguments
	Command string            `json:"command,omitempty"` // for the shell (bash, else sh) with -c
	Cwd     string            `json:"cwd,omitempty"`     // "" is the workspace
	Env     map[string]string `json:"env,omitempty"`     // beyond that of all sessions
	Stdin   string            `json:"stdin,omitempty"`   // written to its stdin, which is closed then
	Open    bool              `json:"open,omitempty"`    // stdin stays open for SuffixInput; without it and Stdin it is empty
	Merge   bool              `json:"merge,omitempty"`   // stderr goes into stdout, in the order written
	TTY     bool              `json:"tty,omitempty"`     // on a terminal of its own: Merge and Open are implied
	Cols    uint16            `json:"cols,omitempty"`    // of the terminal; 0 is 80
	Rows    uint16            `json:"rows,omitempty"`    // as Cols; 0 is 24
	Timeout float64           `json:"timeout,omitempty"` // seconds until everything it started is killed; 0 is none
}

// Process is what became of a Command.
type Process struct {
	ID      string     `json:"id"`
	Argv    []string   `json:"argv,omitempty"`
	Command string     `json:"command,omitempty"`
	PID     int        `json:"pid"`
	Started time.Time  `json:"started"`
	Ended   *time.Time `json:"ended,omitempty"`
	Exit    *Exit      `json:"exit,omitempty"` // nil while it runs
	Stdout  Held       `json:"stdout"`
	Stderr  Held       `json:"stderr"`
	Usage   *Usage     `json:"usage,omitempty"` // nil while it runs, and once only its end is known
}

// Usage is what a process has used, with those of its children that it has waited for.
type Usage struct {
	User   float64 `json:"user"`    // seconds of processor time in programs
	System float64 `json:"system"`  // and in the kernel
	MaxRSS int64   `json:"max_rss"` // bytes: the most that it, or one of those children, had in memory at a time; Linux counts from the fork on, so never less than the server has
}

// Held tells of an output stream: its length, and from which byte on it is still held. Both in bytes.
type Held struct {
	Length uint64 `json:"length"`
	From   uint64 `json:"from"`
}

// Exit is how a process ended; as JSON the payload of FrameExit.
type Exit struct {
	Code    int    `json:"code"`              // -1 if a signal ended it
	Signal  string `json:"signal,omitempty"`  // as "KILL"
	Timeout bool   `json:"timeout,omitempty"` // its time was over
	Memory  bool   `json:"memory,omitempty"`  // the kernel killed it, or what it waited for (Code 137), for want of memory
}

// Signal says what to send: a name as "TERM" or "SIGTERM", or a number.
type Signal struct {
	Signal string `json:"signal"`
	Alone  bool   `json:"alone,omitempty"` // to the process, not to its group
}

// TerminalMessage is a text message on a terminal's WebSocket. From the client: resize. From the server: ready, the
// first; exit or error, the last; binary messages between them continue the output at Offset.
type TerminalMessage struct {
	Type   string     `json:"type"` // resize, ready, exit, error
	Cols   uint16     `json:"cols,omitempty"`
	Rows   uint16     `json:"rows,omitempty"`
	Offset uint64     `json:"offset,omitempty"` // of ready: where the output begins; of exit: its length
	Code   *int       `json:"code,omitempty"`   // of exit
	Error  *ErrorBody `json:"error,omitempty"`
}
