package sandbox

import (
	"fmt"
	"slices"
	"time"
)

// Audit says what is told of what programs in a sandbox do, besides their connections, which are told of wherever they are
// enforced (see Connection). It is told as records; see AuditRecord. What a backend cannot see is refused, as a limit is that it
// cannot enforce.
//
// It watches and does not decide: what is told was asked for, by a program that could still change its mind, and may have failed.
//
// The zero Audit tells nothing and costs nothing.
type Audit struct {
	// Exec tells of programs that are started: who started them, with which arguments.
	Exec bool `json:"exec,omitempty"`
	// Privileges tells of attempts to get rights: to change the user, capabilities, mounts or namespaces, to reach into the
	// kernel; also of those that were denied, which in most sandboxes are all.
	Privileges bool `json:"privileges,omitempty"`
	// Limits tells when a limit is hit.
	Limits bool `json:"limits,omitempty"`
	// Files tells of files; "" is AuditFilesOff.
	Files AuditFiles `json:"files,omitempty"`
	// Syscalls are system calls of which each is told of, by the kernel's names, such as "ptrace"; as many as MaxAuditSyscalls.
	Syscalls []string `json:"syscalls,omitempty"`
	// Rate is how many records per second are told of each kind, with fifty seconds' worth at once after a pause; 0 means
	// DefaultAuditRate. Of what is beyond, it is told how much it was.
	Rate int `json:"rate,omitempty"`
}

// AuditFiles is what is told of files.
type AuditFiles string

// What may be.
const (
	AuditFilesOff     AuditFiles = "off"
	AuditFilesChanged AuditFiles = "changed" // what has changed in the workspace, after each action
	AuditFilesAll     AuditFiles = "all"     // besides, each call by which a file is opened, made, moved, removed, cut, or its rights or times are changed
)

// AuditFilesWords are all of them.
var AuditFilesWords = []AuditFiles{AuditFilesOff, AuditFilesChanged, AuditFilesAll}

const (
	DefaultAuditRate = 20   // records per second and kind: one that does nothing else all day makes half a gigabyte
	MaxAuditRate     = 1000 // what a journal takes of one sandbox beside its actions
	MaxAuditSyscalls = 64
)

// IsZero says whether nothing is told.
func (a Audit) IsZero() bool {
	return !a.Exec && !a.Privileges && !a.Limits && (a.Files == "" || a.Files == AuditFilesOff) && len(a.Syscalls) == 0
}

// Equal says whether a and b tell the same.
func (a Audit) Equal(b Audit) bool {
	if a.IsZero() || b.IsZero() {
		return a.IsZero() && b.IsZero()
	}
	files := func(f AuditFiles) AuditFiles {
		if f == "" {
			return AuditFilesOff
		}
		return f
	}
	return a.Exec == b.Exec && a.Privileges == b.Privileges && a.Limits == b.Limits && files(a.Files) == files(b.Files) &&
		a.PerSecond() == b.PerSecond() && slices.Equal(a.Syscalls, b.Syscalls)
}

// PerSecond is the rate that holds.
func (a Audit) PerSecond() int {
	if a.Rate == 0 {
		return DefaultAuditRate
	}
	return a.Rate
}

// Check says whether a makes sense by itself; the error names the field.
func (a Audit) Check() error {
	switch {
	case a.Files != "" && !slices.Contains(AuditFilesWords, a.Files):
		return fmt.Errorf("files: want one of %q, have %.40q", AuditFilesWords, a.Files)
	case a.Rate < 0 || a.Rate > MaxAuditRate:
		return fmt.Errorf("rate: want 1 to %d records per second, or 0 for %d, have %d", MaxAuditRate, DefaultAuditRate, a.Rate)
	case len(a.Syscalls) > MaxAuditSyscalls:
		return fmt.Errorf("syscalls: want at most %d, have %d", MaxAuditSyscalls, len(a.Syscalls))
	}
	for _, name := range a.Syscalls {
		if slices.Contains(untellable, name) {
			return fmt.Errorf("syscalls: %s cannot be told of: whoever starts the telling needs it", name)
		}
		if !isSyscallName(name) {
			return fmt.Errorf("syscalls: %.40q is no name of a system call: want letters, digits and '_', such as \"ptrace\"", name)
		}
	}
	return nil
}

// untellable are calls that the start of a sandbox waits with, before anybody listens.
var untellable = []string{"dup3", "futex"}

func isSyscallName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 40
}

// An AuditRecord is what a program in a sandbox did or tried, or what has become of the sandbox. What does not apply is zero.
// Everything in it but Time, Kind, Reason and Untold is a stranger's word, cut to a bounded size.
type AuditRecord struct {
	Time time.Time `json:"time"`
	Kind AuditKind `json:"audit"`

	Process *AuditProcess `json:"process,omitempty"` // that did it
	Call    string        `json:"call,omitempty"`    // the system call
	Path    string        `json:"path,omitempty"`    // of the program or file, made absolute as far as it could be
	To      string        `json:"to,omitempty"`      // the second path of a call that has two
	Write   bool          `json:"write,omitempty"`   // the file is opened so that it can be written to, or changed by the call itself
	Missing bool          `json:"missing,omitempty"` // there was no such program, so most likely none was started
	Argv    []string      `json:"argv,omitempty"`    // of the program
	Numbers []uint64      `json:"numbers,omitempty"` // other arguments of the call, as they are in the registers
	Cut     bool          `json:"cut,omitempty"`     // paths or arguments are longer, or more, than is told
	Denied  string        `json:"denied,omitempty"`  // the sandbox does not allow the call at all, and this was the answer: "EPERM"

	Limit   string       `json:"limit,omitempty"`   // that was hit, as sandbox.Limits calls it
	Times   int64        `json:"times,omitempty"`   // how often, since it was told last; 0 is not known
	Changes []FileChange `json:"changes,omitempty"` // of files, by path

	Reason string `json:"reason,omitempty"` // why something is not told, or what has become of who watched, for people
	Untold int64  `json:"untold,omitempty"` // of this kind before this record, of which nobody was told; of a record without anything else, all there is to tell
}

// An AuditProcess is a process as the sandbox sees it.
type AuditProcess struct {
	PID  int `json:"pid"`
	PPID int `json:"ppid"` // 0 if its parent is outside
	UID  int `json:"uid"`
}

// AuditKind is what a record is about.
type AuditKind string

// The kinds. Connections are told as Connection, and of the kind "connection" in a journal.
const (
	AuditExec      AuditKind = "exec"
	AuditPrivilege AuditKind = "privilege"
	AuditFile      AuditKind = "file"
	AuditSyscall   AuditKind = "syscall"
	AuditChanged   AuditKind = "changed"
	AuditLimit     AuditKind = "limit"
	AuditGap       AuditKind = "gap"     // whoever watched was killed: what was done just before it is not known
	AuditStopped   AuditKind = "stopped" // nobody can watch any more, for the Reason that it has; the sandbox is ended
)

// AuditKinds are all of them.
var AuditKinds = []AuditKind{AuditExec, AuditPrivilege, AuditFile, AuditSyscall, AuditChanged, AuditLimit, AuditGap, AuditStopped}

// A FileChange is what has become of a file or directory.
type FileChange struct {
	Path   string         `json:"path"`
	Change FileChangeKind `json:"change"`
}

// FileChangeKind is what has become of a file.
type FileChangeKind string

// The kinds.
const (
	FileAdded    FileChangeKind = "added"
	FileModified FileChangeKind = "modified" // its content, or its rights
	FileRemoved  FileChangeKind = "removed"
)
