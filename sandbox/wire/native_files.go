package wire

import "time"

// FileStat tells of one file.
type FileStat struct {
	Path   string    `json:"path"` // as it was asked for
	Name   string    `json:"name"`
	Type   string    `json:"type"` // file, dir, link, pipe, socket, device
	Size   int64     `json:"size"` // bytes
	Mode   string    `json:"mode"` // octal, with the bits for set-uid and the like: "0644", "4755"
	MTime  time.Time `json:"mtime"`
	UID    int       `json:"uid"`
	GID    int       `json:"gid"`
	User   string    `json:"user,omitempty"`   // absent if the number has no name
	Group  string    `json:"group,omitempty"`  // as User
	Target string    `json:"target,omitempty"` // of a link
	ETag   string    `json:"etag,omitempty"`   // of a file: for If-Match and If-None-Match
}

// Move renames a file or directory, within one file system atomically. Conflict if To is there and Overwrite is not set.
// Missing parents of To are made.
type Move struct {
	From      string `json:"from"`
	To        string `json:"to"`
	Overwrite bool   `json:"overwrite,omitempty"`
}

// Remove removes a file, a link (not what it leads to) or a directory. Conflict if a directory is not empty and Recursive
// is not set; not_found if there is nothing, unless Missing is set.
type Remove struct {
	Path      string `json:"path"`
	Recursive bool   `json:"recursive,omitempty"`
	Missing   bool   `json:"missing,omitempty"` // that there is nothing is fine
}

// Mkdir makes a directory, and its parents. That it is there already is fine unless Exclusive is set, and then a conflict.
type Mkdir struct {
	Path      string `json:"path"`
	Mode      string `json:"mode,omitempty"` // octal; "" is 0775
	Exclusive bool   `json:"exclusive,omitempty"`
}

// Chmod changes the permissions of a file, or of everything below a directory too. Links are not followed.
type Chmod struct {
	Path      string `json:"path"`
	Mode      string `json:"mode"` // octal: "755", "0644"
	Recursive bool   `json:"recursive,omitempty"`
}

// Glob asks which paths below Path match Pattern: *, ?, [a-z], {a,b} and ** (any number of directories).
type Glob struct {
	Path    string `json:"path,omitempty"` // "" is the workspace
	Pattern string `json:"pattern"`
	Hidden  bool   `json:"hidden,omitempty"` // names beginning with a dot match too
	Ignore  bool   `json:"ignore,omitempty"` // not what a .gitignore below Path names
	Limit   int    `json:"limit,omitempty"`  // 0 is 10,000, also the most
}

// GlobResult has the paths relative to Glob.Path, sorted; directories end with '/'.
type GlobResult struct {
	Paths     []string `json:"paths"`
	Truncated bool     `json:"truncated"` // there are more than Limit
}

// Grep searches files below Path, or the file Path, for lines that match.
type Grep struct {
	Path       string `json:"path,omitempty"`
	Pattern    string `json:"pattern"`               // a regular expression, RE2's syntax
	Literal    bool   `json:"literal,omitempty"`     // Pattern stands for itself
	IgnoreCase bool   `json:"ignore_case,omitempty"` //
	Glob       string `json:"glob,omitempty"`        // only in files whose path, or name if it has no '/', matches
	Hidden     bool   `json:"hidden,omitempty"`      // files and directories beginning with a dot too
	NoIgnore   bool   `json:"no_ignore,omitempty"`   // what .gitignore names too
	Context    int    `json:"context,omitempty"`     // lines around a match, at most 100
	Limit      int    `json:"limit,omitempty"`       // matches; 0 is 1,000, the most is 100,000
}

// GrepMatch is one line, at most 4 KiB of it. Lines around a match have Context set.
type GrepMatch struct {
	Path    string `json:"path"`              // relative to Grep.Path
	Line    int    `json:"line"`              // from 1
	Text    string `json:"text"`              // without its end; what is not UTF-8 is U+FFFD
	Column  int    `json:"column,omitempty"`  // of the match, in bytes from 1
	Context bool   `json:"context,omitempty"` // it only stands around a match
}

// GrepEnd is the last line of an answer. One that has an error says why the search did not come to its end.
type GrepEnd struct {
	Done      bool       `json:"done"` // always true: it tells this line from a match
	Matches   int        `json:"matches"`
	Files     int        `json:"files"`     // that have matches
	Truncated bool       `json:"truncated"` // there may be more than Limit
	Engine    string     `json:"engine"`    // "ripgrep" or "go"
	Error     *ErrorBody `json:"error,omitempty"`
}

// WatchEvent is a change. Heartbeats come every HeartbeatSeconds without one.
type WatchEvent struct {
	Type string    `json:"type"`           // ready, created, modified, removed, moved, chmod, overflow, heartbeat, error
	Path string    `json:"path,omitempty"` // relative to the path watched; "" is itself
	From string    `json:"from,omitempty"` // of moved: the old path; "" if it came from outside
	Dir  bool      `json:"dir,omitempty"`  // Path is a directory
	Time time.Time `json:"time"`
	// Error is why the watch ends. After overflow events may be missing: look at everything again.
	Error *ErrorBody `json:"error,omitempty"`
}

// ErrorBody is an error in a line of an answer that has begun: what stands in "error" of AppendError.
type ErrorBody struct {
	Code      string    `json:"code"`
	Message   string    `json:"message"`
	Timestamp time.Time `json:"timestamp"`
}
