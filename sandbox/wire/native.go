package wire

// The versions of the native form: the newest that this code speaks, and the oldest that it still understands. Version 1
// has its actions and observations in the OpenHands form, and of the routes those marked so; version 2 has events of its
// own (native_event.go) and all routes.
const (
	Version       = 2
	OldestVersion = 1
)

// Headers of native requests and answers.
const (
	HeaderKey     = "X-Session-API-Key"       // the server's key, as OpenHands clients send it too
	HeaderEpoch   = "Sandtree-Epoch"          // of the controller's activation, decimal; a lower one than before is fenced
	HeaderVersion = "Sandtree-Version"        // of the native form, decimal; in answers the newest that the server speaks
	HeaderOldest  = "Sandtree-Oldest-Version" // in answers: the oldest version that the server speaks; absent means 1
	HeaderOwner   = "Sandtree-Owner"          // whose controller is asking

	// HeaderDigest is RFC 9530's, "sha-256=:BASE64:". In a PUT of PathFiles: of the body; if what has come differs, the
	// answer is invalid and the old file stays. In an answer to HeaderWantDigest: of the whole file, also of a range.
	HeaderDigest     = "Content-Digest"
	HeaderReprDigest = "Repr-Digest"
	HeaderWantDigest = "Want-Repr-Digest" // "sha-256=1": asks a GET or PUT of PathFiles for HeaderReprDigest; the file is read once more
)

// Types of bodies.
const (
	TypeJSON   = "application/json"
	TypeFrames = "application/octet-stream" // frames, or a file's bytes
	TypeLines  = "application/x-ndjson"     // one JSON value per line, each sent when it is there; an empty line is a heartbeat
)

// Routes of the native form. Failures are in the form of AppendError, with the status of HTTPStatus. "Version 1" marks
// those that version 1 has too. Bodies and answers are JSON of the types named (native_files.go, native_process.go,
// native_tools.go) unless said otherwise, and an answer of 204 has no body.
const (
	// PathVersion: GET answers VersionInfo, before the server is ready too.
	PathVersion = "/v1/version"
	// PathInfo: GET answers Info.
	PathInfo = "/v1/info"
	// PathMetrics: GET answers the server's figures in Prometheus' text form.
	PathMetrics = "/v1/metrics"

	// PathActions + ID: POST with an action as body performs it; the answer is frames. ?offset=N leaves out what the
	// action printed before byte N. The same id with the same body joins the action or gives the stored answer; with
	// another body it is a conflict. GET joins or gives the stored answer but never starts anything: not_found if the
	// id was never received. POST PathActions + ID + SuffixInterrupt sends SIGINT to what the action runs in the
	// foreground; 204. Version 1.
	PathActions     = "/v1/actions/"
	SuffixInterrupt = "/interrupt"

	// PathEnv: PUT with NAME=VALUE, NUL, NAME=VALUE, … as body gives shells and terminals that start from now on these
	// variables, byte for byte; those that run keep what they have. 204. Version 1.
	PathEnv = "/v1/env"
	// PathLease: POST with HeaderEpoch and HeaderOwner renews the controller's lease; 204. A lower epoch is a conflict.
	// Version 1.
	PathLease = "/v1/lease"
)

// Routes of shells and processes.
const (
	// PathSessions: GET answers []Session, the main one (name "") first. Below it, PathSessions + "/" + NAME: PUT with a
	// SessionSpec starts a session, 201 with the Session; 200 if there is one started by an equal spec, conflict if by another.
	// GET answers the Session; DELETE ends it and what runs in it, 204. Actions name it in their session member; one that
	// names a session which is not there starts it, of kind pty. There are at most 256.
	PathSessions = "/v1/sessions"
	// PathExec: POST with a Command runs it outside of any session and answers frames: FrameOutput, FrameStderr, and at
	// last FrameExit or FrameError. If the Command has an id, what was cut off is had again from PathProcesses; if it has
	// none, the process ends when its client does.
	PathExec = "/v1/exec"
	// PathProcesses: POST with a Command starts it in the background and answers 201 with the Process, or 200 if its id
	// was started before by the same Command; GET answers []Process. Below it, PathProcesses + "/" + ID: GET answers the
	// Process, DELETE kills whatever is left of it and forgets it, 204; and
	//   SuffixOutput: GET answers frames as PathExec does, from ?offset= of stdout and ?stderr= of stderr on; with
	//     ?follow=false only what there is, without a last frame if the process runs.
	//   SuffixInput: POST writes the body to its stdin; ?offset=N is where the body stands in all input, and what has
	//     come before is left out; ?eof=true closes stdin after it. 204.
	//   SuffixSignal: POST with a Signal sends it to the process group; 204.
	//   SuffixResize: POST with {"cols":…,"rows":…} tells a process on a terminal its size; 204.
	//   SuffixWait: GET answers the Process when it has exited, or after ?timeout= seconds (30 if absent, at most 60) as
	//     it is.
	PathProcesses = "/v1/processes"
	SuffixOutput  = "/output"
	SuffixInput   = "/input"
	SuffixSignal  = "/signal"
	SuffixResize  = "/resize"
	SuffixWait    = "/wait"
	// PathTerminal?cols=&rows=: GET with "Connection: Upgrade" and "Upgrade: " + UpgradeTerminal answers 101; then
	// frames go both ways, of types FrameInput, FrameResize, FrameOutput, FrameExit. Version 1. With "Upgrade: websocket"
	// (RFC 6455) binary messages are input and output, text messages TerminalMessage. With ?id= the terminal outlives its
	// client by 10 minutes: the same id finds it again, and ?offset= continues its output, from what is held of it. DELETE
	// with ?id= ends it, 204. Without an id it ends with its client.
	PathTerminal    = "/v1/terminal"
	UpgradeTerminal = "sandtree-terminal"
)

// Routes of files. A path is below the workspace or an opened root, as sandbox.Files says.
const (
	// PathFiles?path=: GET streams a file; "Range: bytes=FROM-TO" (RFC 9110, one range) answers 206, 416 if there is no
	// such byte. Any answer has ETag and Last-Modified. PUT makes or replaces it with the body, atomically, with ?mode= in
	// octal if it is given; 204. Both: version 1. PATCH?offset=N writes the body over the bytes from N on, in place, and
	// makes the file if there is none; without offset it appends; 204.
	PathFiles = "/v1/files"
	// PathTree?path=: GET streams a directory as tar, PUT unpacks the body, a tar. Version 1.
	PathTree = "/v1/tree"
	// PathList?path=: GET answers a JSON array of names. Version 1.
	PathList = "/v1/list"
	// PathStat?path=: GET answers a FileStat, of what a link leads to unless ?follow=false.
	PathStat = "/v1/stat"
	// PathMove, PathRemove, PathMkdir, PathChmod: POST with a Move, Remove, Mkdir, Chmod; 204.
	PathMove   = "/v1/move"
	PathRemove = "/v1/remove"
	PathMkdir  = "/v1/mkdir"
	PathChmod  = "/v1/chmod"
	// PathGlob: POST with a Glob answers a GlobResult.
	PathGlob = "/v1/glob"
	// PathGrep: POST with a Grep answers lines: GrepMatch as they are found, at last a GrepEnd.
	PathGrep = "/v1/grep"
	// PathWatch?path=: GET answers lines: a WatchEvent for every change below the directory (or of the file) until the
	// client hangs up; the first has type "ready": what changes after it is told. ?recursive=false watches the directory's
	// own entries only.
	PathWatch = "/v1/watch"
)

// Routes of tools.
const (
	// PathKernels: GET answers []Kernel, those that were asked for so far. Below it, PathKernels + "/" + NAME ("main" is
	// that of actions without a session): PUT with a KernelSpec starts a kernel, 201 with the Kernel; 200 if there is one of
	// that language, conflict if of another. DELETE ends it, 204; POST + SuffixInterrupt, POST + SuffixRestart: 204.
	PathKernels   = "/v1/kernels"
	SuffixRestart = "/restart"
	// PathMCP: GET answers []MCPServer; PUT with []MCPServerSpec makes these the servers, 200 with []MCPServer.
	// The body may also be the usual {"mcpServers": {NAME: …}}. PathMCP + SuffixServers is the same. PathMCP +
	// SuffixTools: GET answers the tools of all, []MCPTool. To an MCP client PathMCP is the endpoint of all the servers as
	// one, in streamable HTTP: POST, DELETE, and GET that accepts text/event-stream.
	PathMCP       = "/v1/mcp"
	SuffixServers = "/servers"
	SuffixTools   = "/tools"
	// PathPorts: GET answers []Port, those that something in the sandbox listens at. Below it, PathPorts + "/" + PORT: with
	// "Connection: Upgrade" and "Upgrade: " + UpgradePort GET answers 101, and then the connection is one to the port.
	// PathPorts + "/" + PORT + "/" + ANY: any method is handed on to the port as a request for "/" + ANY, without the key.
	PathPorts   = "/v1/ports"
	UpgradePort = "sandtree-port"
)
